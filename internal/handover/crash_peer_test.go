package handover

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// stream is one direction of a connection as its two peers see it: the writer sends
// bytes that follow from their position, the reader checks them.
type stream struct {
	habit    habit
	from, to *net.TCPConn
	sent     atomic.Int64  // bytes given to the kernel
	received atomic.Int64  // bytes that came
	wrong    atomic.Int64  // of these, that are not what was sent at their position
	stop     chan struct{} // closed: the writer sends its FIN
	done     sync.WaitGroup
}

// habit is what a writer does.
type habit int

const (
	streams habit = iota // as fast as it goes
	pings                // the next message when the last one has arrived
	rests                // one message, then nothing until the end
	ends                 // one message and a FIN
	clogs                // streams, and the reader reads nothing before the end
)

// at is the byte at a position of every stream: such that bytes which are missing
// are noticed.
func at(position int64) byte { return byte(uint64(position) * 0x9E3779B97F4A7C15 >> 56) }

// run starts writer and reader, until stop is closed and all has arrived.
func (s *stream) run() {
	s.done.Go(s.write)
	s.done.Go(s.read)
}

func (s *stream) write() {
	defer s.from.CloseWrite()
	message := make([]byte, 16<<10)
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for {
		sent := s.sent.Load()
		n := len(message)
		switch {
		case s.habit == pings && s.received.Load() < sent, s.habit == rests && sent > 0:
			n = 0
		case s.habit == ends && sent > 0:
			return
		}
		for i := range n {
			message[i] = at(sent + int64(i))
		}
		if n > 0 {
			// What the kernel has taken counts, also when the rest was not.
			n, err := s.from.Write(message[:n])
			s.sent.Add(int64(n))
			if err != nil {
				return
			}
		}
		select {
		case <-s.stop:
			return
		default:
		}
		if n == 0 {
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
		}
	}
}

func (s *stream) read() {
	buffer := make([]byte, 64<<10)
	if s.habit == clogs {
		<-s.stop
	}
	for {
		n, err := s.to.Read(buffer)
		received := s.received.Load()
		for i := range n {
			if buffer[i] != at(received+int64(i)) {
				s.wrong.Add(1)
			}
		}
		s.received.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// carry is the relay of the process that comes after: it moves what c's flow has
// left, to its end.
func carry(source, destination *os.File, f *Flow) error {
	if f.FinSent {
		return nil
	}
	_, err := io.Copy(destination, source)
	if err == nil {
		err = shutWrite(destination)
	}
	return err
}

// shutWrite sends FIN. A peer that has ended both ways already has no use for one.
func shutWrite(file *os.File) error {
	if errno := sock.CloseWrite(int(file.Fd())); errno != 0 && errno != sock.ENOTCONN {
		return errno
	}
	return nil
}
