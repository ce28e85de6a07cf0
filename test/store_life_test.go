package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// habit is what the peers of a life do until it is finished.
type habit int

const (
	streams habit = iota // as fast as it goes, both ways
	chats                // a message each millisecond, both ways
	oneWay               // streams from the server, rests from the client
	rests                // one message both ways, then nothing
	habits
)

// life is a connection both of whose ends check every byte by its position.
type life struct {
	habit habit
	flows [2]*checkedFlow
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
	l := &life{habit: h, stop: make(chan struct{}), over: make(chan struct{})}
	l.flows[0] = &checkedFlow{from: client, to: server, seed: 2 * seed}
	l.flows[1] = &checkedFlow{from: server, to: client, seed: 2*seed + 1}
	var all sync.WaitGroup
	for i, f := range l.flows {
		most := int64(1 << 60)
		if h == rests || h == oneWay && i == 0 {
			most = 100
		}
		all.Go(func() { f.write(l, most) })
		all.Go(f.check)
	}
	go func() {
		all.Wait()
		close(l.over)
	}()
	return l
}

// write sends up to most bytes, and after finish a FIN.
func (f *checkedFlow) write(l *life, most int64) {
	chunk := make([]byte, 16<<10)
	if l.habit == chats {
		chunk = chunk[:100]
	}
	from, tick := pattern(f.seed, most), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for f.wrote == nil && !l.stopped() {
		if l.habit == chats {
			<-tick.C
		}
		n, err := io.ReadFull(from, chunk)
		if n == 0 {
			<-l.stop
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
		n, f.wrote = f.from.Write(chunk[:n])
		f.sent.Add(int64(n))
	}
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
