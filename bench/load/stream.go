package load

import (
	"time"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/backend"
	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
)

const (
	turns      = 16 // reads or writes before others have their turn
	slowEvery  = 100 * time.Millisecond
	slowBytes  = 4 << 10
	slowBuffer = 8 << 10 // receive buffer of a slow reader
)

// stream is a connection that bytes flow over in one direction or both.
type stream struct {
	g     *generator
	fd    int // -1: not connected
	watch eventloop.Watch

	kind     backend.Kind
	rate     uint64
	slow     bool // read by a timer, not by what is there
	measured bool
	hello    []byte // what is left of it to write
	timer    eventloop.Timer
}

// streamOf is a measured stream. Reading is never left to the kernel (MSG_TRUNC):
// a client that takes no bytes leaves a proxy more of the machine than a real one.
func streamOf(d bench.Direction) stream {
	kinds := map[bench.Direction]backend.Kind{bench.Up: backend.Sink, bench.Down: backend.Source, bench.Both: backend.Both}
	return stream{kind: kinds[d], measured: true}
}

func paced() stream { return stream{kind: backend.Source, rate: besideRate} }
func slow() stream  { return stream{kind: backend.Source, slow: true} }

// connect opens the stream, which flows from then on.
func (s *stream) connect() {
	fd, errno := s.dial()
	if errno != 0 {
		s.failed("connect: " + sock.Name(errno))
		return
	}
	s.fd = fd
	interest := uint32(sock.Writable | sock.PeerShut | sock.EdgeTriggered)
	if s.slow {
		s.g.loop.StartTimer(&s.timer, slowEvery, s)
	} else {
		interest |= sock.Readable
	}
	s.hello = backend.Hello{Kind: s.kind, Rate: s.rate}.Append(nil)
	watch, errno := s.g.loop.Watch(fd, interest, s, 0)
	if errno != 0 {
		s.failed("epoll_ctl: " + sock.Name(errno))
		return
	}
	s.watch = watch
}

func (s *stream) dial() (int, sock.Errno) {
	if !s.slow {
		return s.g.dialer.dial()
	}
	fd, err := sock.DialNarrow(s.g.target, &s.g.dialer.options, slowBuffer)
	return fd, sock.ErrnoOf(err)
}

// OnEvents goes on with the hello, and then with the flow.
func (s *stream) OnEvents(_, events uint32) {
	if len(s.hello) > 0 && !s.greet() {
		return
	}
	again := uint32(0)
	if !s.slow && events&(sock.Readable|sock.PeerShut|sock.Hangup|sock.Failed) != 0 {
		more, alive := s.read(events)
		if !alive {
			return
		}
		if more {
			again |= sock.Readable
		}
	}
	if events&sock.Writable != 0 && s.kind != backend.Source {
		more, alive := s.write()
		if !alive {
			return
		}
		if more {
			again |= sock.Writable
		}
	}
	if again != 0 {
		s.g.loop.Again(s.watch, again|events&sock.PeerShut)
	}
}

// greet writes the hello; false while it is not whole.
func (s *stream) greet() bool {
	n, errno := sock.Write(s.fd, s.hello)
	if errno == sock.EAGAIN {
		return false
	}
	if errno != 0 {
		s.failed("connect: " + sock.Name(errno))
		return false
	}
	if s.hello = s.hello[n:]; len(s.hello) > 0 {
		return false
	}
	s.g.isOpen()
	return s.fd >= 0
}

func (s *stream) read(events uint32) (more, alive bool) {
	g := s.g
	for range turns {
		if s.measured && g.phase == frozen {
			return false, true
		}
		n, errno := sock.Read(s.fd, g.buffer)
		if errno == sock.EAGAIN {
			return false, true
		}
		if !s.moved(n, errno) {
			return false, false
		}
		if s.measured {
			g.down += uint64(n)
		}
		if n < len(g.buffer) && events&(sock.PeerShut|sock.Hangup) == 0 {
			return false, true
		}
	}
	return true, true
}

// write counts what the socket has taken. That is more than what has arrived, by
// what sockets hold; but they were as full when the measured part began.
func (s *stream) write() (more, alive bool) {
	g := s.g
	for range turns {
		if g.phase == frozen {
			return false, true
		}
		n, errno := sock.Write(s.fd, g.payload)
		if errno == sock.EAGAIN {
			return false, true
		}
		if errno != 0 {
			s.failed("write: " + sock.Name(errno))
			return false, false
		}
		g.moved++
		g.up += uint64(n)
		if n < len(g.payload) {
			return false, true
		}
	}
	return true, true
}

// moved judges a read; false when the stream has failed.
func (s *stream) moved(n int, errno sock.Errno) bool {
	switch {
	case errno != 0:
		s.failed("read: " + sock.Name(errno))
	case n == 0:
		s.failed("closed early")
	default:
		if s.measured {
			s.g.moved++
		}
		return true
	}
	return false
}

// OnTimer reads what a slow reader reads at a time.
func (s *stream) OnTimer() {
	n, errno := sock.Read(s.fd, s.g.buffer[:slowBytes])
	if errno == sock.EAGAIN || s.moved(n, errno) {
		s.g.loop.StartTimer(&s.timer, slowEvery, s)
	}
}

// OnPanic ends the process.
func (s *stream) OnPanic(value any, stack []byte) { crash(value, stack) }

// failed counts the error and gives the stream up.
func (s *stream) failed(name string) {
	s.g.fail(name)
	s.drop()
	if s.measured {
		s.g.lost()
	}
}

// drop closes the stream with RST: nobody waits for what is still on its way.
func (s *stream) drop() {
	s.g.loop.StopTimer(&s.timer)
	if s.fd < 0 {
		return
	}
	s.g.loop.Forget(s.watch)
	sock.Reset(s.fd)
	s.fd, s.watch = -1, 0
}
