package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// habit is what the peers of a life do until it is finished.
type habit int

const (
	streams habit = iota // 16 KiB each millisecond, both ways
	chats                // 100 bytes each millisecond, both ways
	clogs                // the client sends what the server does not read: the sidecar has some of it
	rests                // one message both ways, then nothing
	habits
)

// life is a connection both of whose ends check every byte by its position.
type life struct {
	habit habit
	flows [2]*checkedFlow
	calm  chan struct{} // closed when a clogged or resting one has sent what it can
	stop  chan struct{}
	over  chan struct{} // both flows have ended
}

// checkedFlow is one direction.
type checkedFlow struct {
	from, to *net.TCPConn
	seed     uint64
	sent     atomic.Int64
	received atomic.Int64
	wrote    error // how the writer ended; nil: by FIN
	read     error // how the reader ended; nil: by FIN
}

var errWrongByte = errors.New("a byte is not what was sent at its place")

func startLife(client, server *net.TCPConn, h habit, seed uint64) *life {
	l := &life{habit: h, calm: make(chan struct{}), stop: make(chan struct{}), over: make(chan struct{})}
	l.flows[0] = &checkedFlow{from: client, to: server, seed: 2 * seed}
	l.flows[1] = &checkedFlow{from: server, to: client, seed: 2*seed + 1}
	var all sync.WaitGroup
	for i, f := range l.flows {
		write := func() { f.write(l) }
		switch {
		case h == clogs && i == 0:
			write = func() { f.clog(l) }
		case h == clogs || h == rests:
			write = func() { f.rest(l) }
		}
		all.Go(write)
		all.Go(func() {
			if h == clogs && i == 0 {
				<-l.stop
			}
			f.check()
		})
	}
	go func() {
		all.Wait()
		close(l.over)
	}()
	return l
}

// write sends bit by bit, and after finish a FIN.
func (f *checkedFlow) write(l *life) {
	chunk := make([]byte, 16<<10)
	if l.habit == chats {
		chunk = chunk[:100]
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	from := pattern(f.seed, 1<<60)
	for f.wrote == nil && !l.stopped() {
		<-tick.C
		f.send(from, chunk)
	}
	f.end()
}

// rest sends one message.
func (f *checkedFlow) rest(l *life) {
	f.send(pattern(f.seed, 1<<60), make([]byte, 100))
	if l.habit == rests && f == l.flows[0] {
		close(l.calm)
	}
	<-l.stop
	f.end()
}

// clog sends until nothing more is taken.
func (f *checkedFlow) clog(l *life) {
	from, chunk := pattern(f.seed, 1<<60), make([]byte, 256<<10)
	for f.wrote == nil {
		if f.wrote = f.from.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); f.wrote == nil {
			f.send(from, chunk)
		}
	}
	if errors.Is(f.wrote, os.ErrDeadlineExceeded) {
		f.wrote = nil
	}
	close(l.calm)
	<-l.stop
	f.end()
}

func (f *checkedFlow) send(from io.Reader, chunk []byte) {
	if _, f.wrote = io.ReadFull(from, chunk); f.wrote != nil {
		return
	}
	var n int
	n, f.wrote = f.from.Write(chunk)
	f.sent.Add(int64(n))
}

func (f *checkedFlow) end() {
	if f.wrote == nil {
		f.wrote = f.from.CloseWrite()
	}
}

// check reads to the end and compares.
func (f *checkedFlow) check() {
	want := pattern(f.seed, 1<<60)
	buffer, expected := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := f.to.Read(buffer)
		if _, failed := io.ReadFull(want, expected[:n]); failed != nil {
			f.read = failed
			return
		}
		if !bytes.Equal(buffer[:n], expected[:n]) {
			f.read = fmt.Errorf("%w: within %d bytes from %d on", errWrongByte, n, f.received.Load())
			return
		}
		f.received.Add(int64(n))
		if err != nil {
			if err != io.EOF {
				f.read = err
			}
			return
		}
	}
}

func (l *life) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// finish has the life end, if it has not ended already. It went on, with all bytes, or
// was reset; anything else is an error.
func (l *life) finish(w *world) (wentOn bool, err error) {
	w.Helper()
	close(l.stop)
	select {
	case <-l.over:
	case <-w.Context().Done():
		return false, w.Context().Err()
	}
	wentOn = true
	for i, f := range l.flows {
		for _, end := range []error{f.wrote, f.read} {
			switch {
			case end == nil:
			case errors.Is(end, syscall.ECONNRESET), errors.Is(end, syscall.EPIPE), errors.Is(end, syscall.ENOTCONN):
				wentOn = false
			default:
				return false, fmt.Errorf("flow %d, after %d bytes: %w", i, f.received.Load(), end)
			}
		}
	}
	for i, f := range l.flows {
		if wentOn && f.sent.Load() != f.received.Load() {
			return true, fmt.Errorf("flow %d: of %d bytes %d have arrived", i, f.sent.Load(), f.received.Load())
		}
		f.from.Close()
	}
	return wentOn, nil
}
