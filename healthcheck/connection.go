package healthcheck

import (
	"errors"

	"github.com/sluiceproxy/sluice/internal/sock"
)

var errPanic = errors.New("a health check panicked")

const (
	interest = sock.Readable | sock.Writable | sock.PeerShut | sock.EdgeTriggered

	// readsInTurn is how often a session reads before it lets others.
	readsInTurn = 4

	// maxUnsent bounds what an endpoint that asks and does not read can pile up
	// here.
	maxUnsent = 64 << 10
)

// connect begins a connection.
func (s *session) connect() {
	g := s.target.group
	s.stage = connecting
	dial := g.options.Dial
	if g.options.Knock != nil && g.options.Preamble == nil && !s.check.talks() {
		dial = g.options.Knock
	}
	fd, err := dial(s.target.address(s.check))
	if err != nil {
		s.failBy(err)
		return
	}
	watch, errno := s.loop().Watch(fd, interest, s, 0)
	if errno != 0 { // no memory for it, or /proc/sys/fs/epoll/max_user_watches
		sock.Close(fd)
		s.skip(errno)
		return
	}
	s.fd, s.watch, s.shut = fd, watch, false
}

// failBy ends a check by an error, which may be this host's fault.
func (s *session) failBy(err error) {
	if fault := s.target.group.options.HostFault; fault != nil && fault(err) {
		s.skip(err)
		return
	}
	s.conclude(failed(Network, err.Error()))
}

// drop closes the connection, if there is one. A reset leaves nothing behind: as
// the side that closes first we would keep a port for each check (TIME_WAIT).
func (s *session) drop() {
	if s.fd < 0 {
		return
	}
	s.loop().Forget(s.watch)
	sock.Reset(s.fd)
	s.fd, s.watch = -1, 0
	s.exchange, s.unsent, s.unread = nil, nil, nil
}

// leave closes a connection on which the endpoint is to read what was sent.
func (s *session) leave() {
	s.loop().Forget(s.watch)
	sock.Close(s.fd)
	s.fd, s.watch = -1, 0
}

// OnEvents carries the check on.
func (s *session) OnEvents(_, events uint32) {
	if s.stage == connecting {
		if events&(sock.Failed|sock.Hangup) != 0 {
			if errno := sock.TakeError(s.fd); errno != 0 {
				s.failBy(errno)
				return
			}
		}
		s.connected()
	} else if events&sock.Writable != 0 {
		s.flush()
	}
	if s.fd >= 0 && s.stage != connecting && events&(sock.Readable|sock.PeerShut|sock.Hangup|sock.Failed) != 0 {
		s.receive()
	}
}

// connected begins to talk.
func (s *session) connected() {
	if preamble := s.target.group.options.Preamble; preamble != nil {
		s.unsent = preamble(s.unsent, sock.LocalAddr(s.fd), s.target.address(s.check))
	}
	if s.exchange = newExchange(s.check, s.target.authority()); s.exchange != nil {
		s.ask()
		return
	}
	s.stage = talking
	if s.unsent = append(s.unsent, s.check.send...); len(s.unsent) > 0 {
		if s.flush(); s.stage != talking { // it has failed
			return
		}
		s.unsent = nil
		s.leave()
	}
	s.conclude(result{done: true})
}

// ask sends the request.
func (s *session) ask() {
	s.stage = talking
	s.unsent = s.exchange.begin(s.unsent)
	s.flush()
}

// flush writes what is to be sent, as far as the socket takes it.
func (s *session) flush() {
	for len(s.unsent) > 0 {
		n, errno := sock.Write(s.fd, s.unsent)
		if errno == sock.EAGAIN {
			return
		}
		if errno != 0 {
			s.broken(errno)
			return
		}
		s.unsent = s.unsent[n:]
	}
	s.unsent = nil
	if s.stage == talking && s.check.halfCloses() && !s.shut {
		s.shut = true
		sock.CloseWrite(s.fd)
	}
}

// receive reads what there is.
func (s *session) receive() {
	scratch, watch := s.target.group.checker.scratch, s.watch
	for range readsInTurn {
		have := copy(scratch, s.unread)
		n, errno := sock.Read(s.fd, scratch[have:])
		switch {
		case errno == sock.EAGAIN:
			return
		case errno != 0:
			s.broken(errno)
			return
		case n == 0:
			s.settle(s.exchange.ended())
			return
		}
		s.heard = true
		s.digest(scratch[:have+n])
		if s.watch != watch || s.stage == resting {
			return
		}
	}
	s.loop().Again(s.watch, sock.Readable)
}

// digest lets the exchange judge what has come.
func (s *session) digest(data []byte) {
	for watch := s.watch; s.watch == watch && len(data) > 0; {
		used, r := s.exchange.take(data)
		data = data[used:]
		s.keep(data)
		if s.unsent = append(s.unsent, r.reply...); len(s.unsent) > maxUnsent {
			r = failed(Network, "the endpoint asks without end and does not read")
		}
		if !r.done {
			s.flush()
			return
		}
		s.settle(r) // what follows an answer comes between two checks
	}
}

// keep holds what is not used up, and no buffer for nothing.
func (s *session) keep(rest []byte) {
	if len(rest) == 0 {
		s.unread = nil
		return
	}
	s.unread = append(s.unread[:0], rest...)
}

// broken is a connection that failed.
func (s *session) broken(errno sock.Errno) {
	if s.stage == resting {
		s.drop()
		return
	}
	s.conclude(failed(Network, "connected, then: "+errno.Error()))
}

// settle ends a check, or a connection that was kept and is of no more use.
func (s *session) settle(r result) {
	if s.stage == resting {
		s.drop()
		return
	}
	s.conclude(r)
}
