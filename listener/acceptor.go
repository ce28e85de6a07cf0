package listener

import (
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/intercept"
	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/stats"
)

const (
	// burst is how many connections one event accepts before others have
	// their turn; the socket is watched level-triggered and reports the rest.
	burst = 64

	// similarMost is how many connections in a row get the same keepalive times.
	similarMost = 8

	// backOff is the pause after an accept that failed for want of a resource.
	backOff = 100 * time.Millisecond

	// recogniseTime bounds the wait for a dial that another loop has announced:
	// connect does not block, but its thread may lose the processor.
	recogniseTime = int64(100 * time.Millisecond)

	// A loop hands a new connection over when it carries more than the least
	// loaded one by this number and by this share.
	handOverMargin = 16
	handOverShare  = 4
)

// Loop is an event loop with what it counts.
type Loop struct {
	*eventloop.Loop
	Shard *stats.Shard
	Stats stats.Loop
}

// Entrance is what all acceptors of the process share.
type Entrance struct {
	Loops  []Loop
	Table  atomic.Pointer[Table]
	Guard  *intercept.Guard
	Limits *Limits
	Log    *zap.Logger

	// Descriptors is how many of the process's descriptors connections may
	// use, so that the admin API still answers when they have used them up.
	// 0 = all.
	Descriptors int
}

// Acceptor is one listening socket on one loop. Its methods are for the loop's
// thread, unless they say otherwise.
type Acceptor struct {
	Listener *Listener

	entrance *Entrance
	number   int // of the loop
	loop     Loop
	fd       int
	watch    eventloop.Watch
	timer    eventloop.Timer
	reserve  int  // a descriptor to fall back on; -1: none
	later    bool // it is bound, and listens from Open on

	// shared says that another process has the socket too, or may have it.
	shared bool
	kept   bool // for ever: the service manager has it

	ending bool            // Finish was called
	end    eventloop.Timer // of the wait for handshakes

	// only is the one destination that connections to this socket can have had:
	// its own address, unless that is a wildcard or rules bring connections.
	// Invalid: each has to be asked.
	only netip.AddrPort

	keepalive sock.Keepalive
	similar   int // connections accepted with the same keepalive times

	undecided int // connections that wait to be recognised

	expect int    // connections that wait, see OnEvents
	turn   uint64 // of the loop, when the socket was last reported
}

// NewAcceptor makes the listening socket of ln for the loop with the given
// number, and binds it. Clients queue from then on, nothing is accepted before Open.
// Errors are *sock.Error.
func NewAcceptor(ln *Listener, entrance *Entrance, number int) (*Acceptor, error) {
	return makeAcceptor(ln, entrance, number, listenOptions(ln))
}

// NewAcceptorBeside is NewAcceptor on an address on which sockets listen already. The
// kernel would divide clients among all of them, and reset this one's share should it
// be closed unopened: it does not listen before Open.
func NewAcceptorBeside(ln *Listener, entrance *Entrance, number int) (*Acceptor, error) {
	o := listenOptions(ln)
	o.Later = true
	return makeAcceptor(ln, entrance, number, o)
}

func makeAcceptor(ln *Listener, entrance *Entrance, number int, o sock.ListenOptions) (*Acceptor, error) {
	fd, err := sock.Listen(ln.Config.Address, o)
	if err != nil {
		return nil, err
	}
	a := newAcceptor(ln, entrance, number, fd)
	a.later = o.Later
	return a, nil
}

// AdoptAcceptor is NewAcceptor for a listening socket that another process has made
// on the address of ln: its queue goes on. kept says that the service manager keeps
// the socket as well, also when it is closed here. The acceptor owns the descriptor.
// With an error it stays the caller's.
func AdoptAcceptor(ln *Listener, entrance *Entrance, number, fd int, kept bool) (*Acceptor, error) {
	if err := sock.AdoptListener(fd, ln.Config.Address, listenOptions(ln)); err != nil {
		return nil, err
	}
	a := newAcceptor(ln, entrance, number, fd)
	a.shared, a.kept = true, kept
	return a, nil
}

func newAcceptor(ln *Listener, entrance *Entrance, number, fd int) *Acceptor {
	a := &Acceptor{Listener: ln, entrance: entrance, number: number, loop: entrance.Loops[number], fd: fd, keepalive: keepaliveOf(ln)}
	a.setOnly()
	a.hold()
	return a
}

func listenOptions(ln *Listener) sock.ListenOptions {
	return sock.ListenOptions{ReusePort: true, Transparent: ln.Mode == intercept.TProxy, Keepalive: keepaliveOf(ln)}
}

func keepaliveOf(ln *Listener) sock.Keepalive {
	k := ln.Config.TCPKeepalive
	return sock.Keepalive{Idle: k.Idle, Interval: k.Interval, Probes: k.Probes}
}

// Loop is the number of the loop on which it accepts.
func (a *Acceptor) Loop() int { return a.number }

// Descriptor is the listening socket's, which stays the acceptor's; -1 when it is
// closed.
func (a *Acceptor) Descriptor() int { return a.fd }

// Kept says whether the service manager has the socket too.
func (a *Acceptor) Kept() bool { return a.kept }

// Alone notes that no other process has the socket any more, unless it is kept.
func (a *Acceptor) Alone() { a.shared = a.kept }

// Open starts accepting, also after Suspend.
func (a *Acceptor) Open() error {
	if a.later {
		if errno := sock.BeginListening(a.fd, 0); errno != 0 {
			return &sock.Error{Op: "listen", Addr: a.Listener.Config.Address, Errno: errno}
		}
		a.later = false
	}
	watch, errno := a.loop.Watch(a.fd, sock.Readable, a, 0)
	if errno != 0 {
		return errno
	}
	a.watch = watch
	return nil
}

// Suspend stops accepting until Open. Whoever comes meanwhile waits in the socket's
// queue, from which another process that has the socket may accept.
func (a *Acceptor) Suspend() {
	a.loop.StopTimer(&a.timer)
	if a.watch != 0 {
		a.loop.Detach(a.watch, a.fd)
		a.watch = 0
	}
}

// CanBecome says whether the socket can serve ln: whether it has the address.
func (a *Acceptor) CanBecome(ln *Listener) bool {
	return ln.Config.Bind && ln.Config.Address == a.Listener.Config.Address
}

// Prepare does what can fail of Become, and changes nothing of what the socket serves
// now. Any thread. Errors are *sock.Error.
func (a *Acceptor) Prepare(ln *Listener) error {
	if ln.Mode == a.Listener.Mode || ln.Mode != intercept.TProxy {
		return nil
	}
	return sock.AdoptListener(a.fd, ln.Config.Address, sock.ListenOptions{Transparent: true})
}

// Become makes the socket serve ln from now on, for which Prepare has gone well.
// What waits in its queue is accepted as it came where the mode changes.
func (a *Acceptor) Become(ln *Listener) {
	if ln.Mode != a.Listener.Mode {
		a.acceptAll()
	}
	if keepalive := keepaliveOf(ln); keepalive != a.keepalive {
		a.keepalive, a.similar = keepalive, 0
		sock.SetKeepalive(a.fd, keepalive.Spread())
	}
	a.Listener = ln
	a.setOnly()
}

func (a *Acceptor) setOnly() {
	a.only = netip.AddrPort{}
	if a.Listener.Mode == intercept.Direct && !a.Listener.Config.Address.Addr().IsUnspecified() {
		a.only = sock.LocalAddr(a.fd)
	}
}

// Close stops accepting and closes the socket; the kernel resets what waited in
// its queue. A closed acceptor stays closed. Before Open it may be called on any
// thread.
func (a *Acceptor) Close() {
	if a.fd < 0 {
		return
	}
	a.loop.StopTimer(&a.end)
	if a.watch != 0 {
		a.Suspend() // another process may have the socket too, and it would stay in epoll
	}
	sock.Close(a.fd)
	a.fd = -1
	if a.reserve >= 0 {
		sock.Close(a.reserve)
		a.reserve = -1
	}
}

// OnEvents accepts what is expected to wait.
//
// To find nothing is dear: accept4(2) makes a socket first. So one connection is
// accepted at a time, as long as they come one by one. The socket is watched
// level-triggered: if more wait, the next turn reports it again, and then twice as
// many are accepted, up to burst.
func (a *Acceptor) OnEvents(_, _ uint32) {
	if turn := a.loop.Turn(); turn == a.turn+1 {
		a.expect, a.turn = min(2*a.expect, burst), turn
	} else {
		a.expect, a.turn = 1, turn
	}
	a.accept(a.expect)
}

// accept accepts up to most connections and says whether more may wait.
func (a *Acceptor) accept(most int) bool {
	for range most {
		conn, peer, errno := sock.Accept(a.fd)
		switch errno {
		case 0:
			// The kernel gives the lowest free number.
			if most := a.entrance.Descriptors; most > 0 && conn >= most {
				a.loop.Shard.Inc(a.Listener.Stats.AcceptErrors)
				sock.Reset(conn)
				a.pause()
				return false
			}
			a.vary()
			a.enter(conn, peer)
		case sock.EAGAIN:
			return false
		case sock.EMFILE, sock.ENFILE:
			a.loop.Shard.Inc(a.Listener.Stats.AcceptErrors)
			a.turnAway()
			a.pause()
			return false
		case sock.ECONNABORTED, sock.EINTR:
			// That one died in the queue: the next one is not to blame.
			a.loop.Shard.Inc(a.Listener.Stats.AcceptErrors)
		default:
			// Out of memory (ENOBUFS, ENOMEM), or forbidden (EPERM, EACCES by
			// a security module): the connection is still in the queue, and
			// would be reported again at once.
			a.loop.Shard.Inc(a.Listener.Stats.AcceptErrors)
			a.pause()
			return false
		}
	}
	return true
}

// vary gives connections to come other keepalive times: they inherit those of
// the listening socket, and one call for each would cost more.
func (a *Acceptor) vary() {
	if a.similar++; a.similar == similarMost && a.keepalive.Idle > 0 {
		a.similar = 0
		sock.SetKeepaliveTimes(a.fd, a.keepalive.Spread())
	}
}

// enter finds out where a connection wanted to go.
func (a *Acceptor) enter(fd int, peer netip.AddrPort) {
	conn := Accepted{FD: fd, Listener: a.Listener, Peer: peer, At: a.loop.Now(), Destination: a.only}
	if !a.only.IsValid() {
		destination, err := a.Listener.Mode.OriginalDestination(fd, peer)
		if err != nil {
			conn.Refusal = NoOriginalDestination
			a.take(conn)
			return
		}
		conn.Destination = destination
	}
	a.recognise(conn)
}

// recognise takes a connection in when it is known whether it is one of our own.
// Where another loop is just dialling the same destination from this host, that
// is not known yet: it looks again in the next turn.
func (a *Acceptor) recognise(conn Accepted) {
	guard := a.entrance.Guard
	trail, sure := guard.Trail(conn.Peer, conn.Destination)
	waits := a.fd >= 0 && a.loop.Now()-conn.At < recogniseTime // a closed acceptor's loop may stop
	if !sure && waits && guard.Hosts.Has(conn.Peer.Addr()) {
		later := conn // so that only here one is allocated
		a.undecided++
		a.loop.Post(func() {
			a.undecided--
			a.recognise(later)
		})
		return
	}
	conn.Trail = trail
	a.admit(conn)
}

// admit lets a connection in or refuses it. Limits are asked last, so that
// refused connections hold no place.
func (a *Acceptor) admit(conn Accepted) {
	if conn.Trail.Turns(a.Listener.Ordinal) >= a.Listener.Mode.Turns() || a.ownPort(&conn) {
		conn.Refusal = LoopGuard
		a.take(conn)
		return
	}
	conn.Trail = conn.Trail.With(a.Listener.Ordinal)
	conn.Listener = a.entrance.Table.Load().Owner(a.Listener, conn.Destination)
	conn.Place, conn.Refusal = a.entrance.Limits.admitFrom(conn.Peer.Addr(), conn.Listener)
	a.take(conn)
}

// ownPort says whether a captured connection asks for this host's own capture
// port: serving it would dial the daemon itself.
func (a *Acceptor) ownPort(conn *Accepted) bool {
	return a.Listener.Mode.Captures() &&
		a.entrance.Table.Load().CapturePort(conn.Destination.Port()) &&
		a.entrance.Guard.Hosts.Has(conn.Destination.Addr())
}

// take counts the connection and gives it to a loop to serve: this one, unless
// it carries clearly more than another.
func (a *Acceptor) take(conn Accepted) {
	target := a.number
	if conn.Refusal == Admitted {
		target = a.target()
		a.entrance.Loops[target].AddLoad(1)
	}
	if target == a.number {
		conn.Listener.Serve(target, conn)
		return
	}
	a.loop.Shard.Inc(a.loop.Stats.HandedOver)
	handed := conn // so that only here one is allocated
	loop := a.entrance.Loops[target]
	loop.Post(func() {
		handed.At = loop.Now()
		handed.Listener.Serve(target, handed)
	})
}

func (a *Acceptor) target() int {
	least, load := a.number, a.loop.Load()
	limit := load - max(handOverMargin, load/handOverShare)
	for number, loop := range a.entrance.Loops {
		if other := loop.Load(); other < limit {
			least, limit = number, other
		}
	}
	return least
}

// turnAway refuses one waiting connection with the descriptor held for it: a
// client that is told now fares better than one that waits for a timeout.
func (a *Acceptor) turnAway() {
	if a.reserve < 0 {
		return
	}
	sock.Close(a.reserve)
	if conn, _, errno := sock.Accept(a.fd); errno == 0 {
		sock.Reset(conn)
	}
	a.hold()
}

func (a *Acceptor) hold() {
	reserve, errno := sock.Reserve()
	if errno != 0 {
		reserve = -1
	}
	a.reserve = reserve
}

// pause stops accepting for a moment: what is short or forbidden comes back
// later, and until then every accept would fail.
func (a *Acceptor) pause() {
	if a.watch == 0 { // Finish after Suspend
		return
	}
	a.loop.Change(a.watch, a.fd, 0)
	a.loop.StartTimer(&a.timer, backOff, a)
}

// OnTimer ends a pause.
func (a *Acceptor) OnTimer() {
	if a.reserve < 0 {
		a.hold()
	}
	a.loop.Change(a.watch, a.fd, sock.Readable)
}

// OnPanic keeps the listener: the connection that was being accepted is lost,
// the socket is not.
func (a *Acceptor) OnPanic(value any, stack []byte) {
	a.entrance.Log.Error("panic while accepting a connection; the listener goes on",
		zap.String("listener", a.Listener.Config.Name), zap.Any("panic", value), zap.ByteString("stack", stack))
}
