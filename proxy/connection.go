package proxy

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/intercept"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/listener/policy"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// interest is what both sockets are watched for, once and for all.
const interest = sock.Readable | sock.Urgent | sock.Writable | sock.PeerShut | sock.EdgeTriggered

// The tags of a connection's watches.
const (
	downstream = uint32(relay.Downstream)
	upstream   = uint32(relay.Upstream)
	rival      = upstream + 1 // a second upstream socket: see race
)

// state is how far a connection has come.
type state uint8

const (
	opening    state = iota // no upstream socket yet
	inspecting              // the client's first bytes are waited for
	connecting              // the upstream socket is being connected
	relaying                // the relay owns both sockets
	away                    // given out of this process, or about to be
	closed
)

// Connection is one downstream connection and what became of it. It is an
// eventloop.Handler for both of its sockets and its timer.
type Connection struct {
	worker     *Worker
	next, prev *Connection

	id       uint64
	listener *listener.Listener
	chain    *Chain // nil: none matched, or refused before
	route    *route // of the chain
	outcome  outcome
	names    *names // nil: those of listener, chain and cluster

	chains     *Chains              // to choose from
	inspection *listener.Inspection // nil: nobody looked

	sourcePlace policy.SourcePlace
	place       policy.Place // under the chain's connection_limit
	logPolicy   string       // of rbac, that matched and only logs

	peer        netip.AddrPort // of the socket
	source      netip.AddrPort // the client: the peer, or what a PROXY header said
	destination netip.AddrPort
	trail       intercept.Trail

	fds      relay.Sockets
	watches  [2]eventloop.Watch
	early    uint32 // downstream events from before the relay
	state    state
	counted  bool // as active
	admitted bool // holds a place under the limits and counts as load
	again    bool // waits for its next turn

	dialling dialling
	relay    relay.Relay
	patience patience
	timer    eventloop.Timer

	stored   uint64 // see handover.Connection; 0: no store has it
	storedIn uint32 // what Worker.storing was then

	accepted  int64 // loop times
	connected int64 // when established

	established bool // there was an upstream connection
}

// outcome is how a connection ended, as far as it has.
type outcome struct {
	flags    accesslog.Flags
	closedBy accesslog.ClosedBy
	reason   accesslog.CloseReason
	errno    sock.Errno
	failure  error // of the last attempt to connect
	details  string
}

// begin takes an accepted connection through inspection and match to its first
// attempt to connect.
func (c *Connection) begin(a listener.Accepted, chains *Chains) {
	c.id = c.worker.around.IDs.Add(1)
	c.listener, c.peer, c.source, c.destination, c.trail = a.Listener, a.Peer, a.Peer, a.Destination, a.Trail
	c.chains = chains
	c.state = opening
	c.fds = relay.Sockets{a.FD, -1}
	c.accepted = a.At
	c.admitted, c.sourcePlace = a.Refusal == listener.Admitted, a.Place
	if !c.admitted {
		c.refuse(a.Refusal)
		return
	}
	watch, errno := c.loop().Watch(a.FD, interest, c, downstream)
	if errno != 0 {
		c.outcome.errno = errno
		c.fail(accesslog.SocketError, 0)
		return
	}
	c.watches[downstream] = watch
	c.inspect()
}

// choose chooses the filter chain and, if that permits it, goes on to the
// upstream.
func (c *Connection) choose(facts *listener.Facts) {
	chain := c.chains.choose(c.listener.Match(facts))
	if chain == nil {
		c.shard().Inc(c.listener.Stats.NoFilterChain)
		c.fail(accesslog.NoFilterChain, accesslog.NoRouteFound)
		return
	}
	c.route = chain.route()
	c.chain = chain
	c.countBegin()
	if c.permit() {
		c.log(config.LogStart)
		c.dial()
	}
}

// refuse resets a connection that the listener did not let in.
func (c *Connection) refuse(why listener.Refusal) {
	counters := &c.listener.Stats
	switch why {
	case listener.ListenerFull:
		c.shard().Inc(counters.CxOverflow)
		c.fail(accesslog.Overflow, 0)
	case listener.ProcessFull:
		c.shard().Inc(counters.GlobalCxOverflow)
		c.fail(accesslog.Overflow, 0)
	case listener.SourceFull:
		c.shard().Inc(counters.SourceOverflow)
		c.outcome.details = overSourceLimit
		c.fail(accesslog.Overflow, 0)
	case listener.NoOriginalDestination:
		c.shard().Inc(counters.LoopGuard)
		c.fail(accesslog.NoOriginalDst, 0)
	default:
		c.shard().Inc(counters.LoopGuard)
		c.fail(accesslog.LoopGuard, 0)
	}
}

// OnEvents hears from both sockets, and from the loop when a turn was not long
// enough.
func (c *Connection) OnEvents(tag, events uint32) {
	switch c.state {
	case relaying:
		side := relay.Side(min(tag, upstream))
		c.again = c.again && events != 0
		c.relay.Note(side, events)
		c.follow(side, c.relay.Move(side, c.loop().Now()))
	case inspecting:
		c.early |= events
		if events&sock.Failed != 0 {
			c.clientLeft()
			return
		}
		c.peek()
	case connecting:
		switch tag {
		case downstream:
		case c.dialling.tag:
			c.dialled(events)
			return
		default:
			c.rivalDialled(events)
			return
		}
		c.early |= events
		if events&sock.Failed != 0 {
			c.clientLeft()
		}
	}
}

// OnTimer hears that a connect timeout or one of the relay's times is over.
func (c *Connection) OnTimer() {
	switch c.state {
	case inspecting:
		c.inspectionTimedOut()
	case connecting:
		c.dialTimedOut()
	case relaying:
		c.lookAtClock()
		c.follow(relay.Downstream, c.relay.OnTimer(c.loop().Now()))
		if c.state == relaying {
			c.arm()
		}
	}
}

// OnPanic gives this connection up, and no other.
func (c *Connection) OnPanic(value any, stack []byte) {
	c.worker.around.Log.Error("panic while handling a connection; it is reset, others go on",
		zap.Uint64("connection_id", c.id), zap.Any("panic", value), zap.ByteString("stack", stack))
	c.shard().Inc(c.worker.loop.Stats.Panics)
	c.reset(accesslog.InternalError)
}

// startRelay hands both sockets to the relay, with what they have reported so
// far.
func (c *Connection) startRelay(events uint32) {
	now := c.loop().Now()
	meter := &c.route.meters[c.worker.number]
	c.relay.Start(c.fds, c.worker.relays, meter, &c.chain.timeouts, c.accepted, now)
	c.state, c.connected, c.established = relaying, now, true
	c.expect()
	c.relay.Note(relay.Downstream, c.early)
	c.relay.Note(relay.Upstream, events)
	c.log(config.LogConnected)
	c.follow(relay.Downstream, c.relay.Move(relay.Downstream, now))
	if c.state == relaying {
		c.arm()
	}
}

// follow does what the relay wants next.
func (c *Connection) follow(side relay.Side, status relay.Status) {
	switch status {
	case relay.Again:
		if !c.again {
			c.again = true
			c.worker.loop.Again(c.watches[side], 0)
		}
	case relay.Finished:
		c.relayed()
		return
	}
	if c.patience.waiting {
		c.look()
	}
	if c.relay.Rearm() {
		c.arm()
	}
}

// arm starts the timer for the relay's next deadline.
func (c *Connection) arm() {
	at, ok := c.relay.Next(c.loop().Now())
	if due, waiting := c.answerDue(); waiting && (!ok || due < at) {
		at, ok = due, true
	}
	if !ok {
		c.loop().StopTimer(&c.timer)
		return
	}
	c.loop().StartTimer(&c.timer, time.Duration(at-c.loop().Now()), c)
}

// relayed notes how the relay ended. Both descriptors are closed.
func (c *Connection) relayed() {
	end := c.relay.End()
	o := &c.outcome
	o.errno = end.Errno
	o.closedBy = accesslog.ByDownstream
	if end.By == relay.Upstream {
		o.closedBy = accesslog.ByUpstream
	}
	switch end.Cause {
	case relay.Fin:
		o.reason = accesslog.Fin
	case relay.Reset:
		o.reason = accesslog.Rst
		c.countReset(end.By)
	case relay.Error:
		o.reason = accesslog.SocketError
	case relay.IdleTimeout:
		o.closedBy, o.reason, o.flags = accesslog.ByProxy, accesslog.IdleTimeout, accesslog.StreamIdleTimeout
		c.shard().Inc(c.chain.tcp.IdleTimeout)
	case relay.HalfCloseTimeout:
		o.closedBy, o.reason = accesslog.ByProxy, accesslog.HalfCloseTimeout
	case relay.MaxDuration:
		o.closedBy, o.reason, o.flags = accesslog.ByProxy, accesslog.MaxDuration, accesslog.DurationTimeout
		c.shard().Inc(c.chain.tcp.MaxDuration)
	}
	c.lookAtEnd()
	c.end()
}

// clientLeft ends a connection whose client sent RST while the upstream was
// still being connected.
func (c *Connection) clientLeft() {
	c.hangUp()
	if errno := sock.TakeError(c.fds[relay.Downstream]); errno != 0 {
		c.outcome.errno = errno
	}
	c.closeDownstream(sock.Close)
	c.outcome.closedBy, c.outcome.reason = accesslog.ByDownstream, accesslog.Rst
	c.outcome.flags |= accesslog.DownstreamConnectionTermination
	c.countReset(relay.Downstream)
	c.end()
}

// fail resets the client, so that it learns at once, and ends the connection.
// There is no upstream socket.
func (c *Connection) fail(reason accesslog.CloseReason, flags accesslog.Flags) {
	c.outcome.flags |= flags
	c.outcome.reason = reason
	if c.outcome.closedBy == accesslog.ByNobody {
		c.outcome.closedBy = accesslog.ByProxy
	}
	c.closeDownstream(sock.Reset)
	c.end()
}

// reset ends a connection in whatever state it is, for the proxy's own reason.
func (c *Connection) reset(reason accesslog.CloseReason) {
	switch c.state {
	case closed, away:
		return
	case relaying:
		c.relay.Reset()
	default:
		c.hangUp()
		c.closeDownstream(sock.Reset)
	}
	c.outcome.closedBy, c.outcome.reason = accesslog.ByProxy, reason
	c.end()
}

// end is the one place where a connection's life is summed up. Its descriptors
// are closed already; the struct may be used again after it, also if it panics:
// a closed connection that stayed on the ring would stop ResetAll.
func (c *Connection) end() {
	defer c.worker.put(c)
	if c.state == relaying {
		c.leaveStore()
		c.leaveUpstream()
	}
	c.leaveInspection()
	c.state = closed
	c.loop().StopTimer(&c.timer)
	c.loop().Forget(c.watches[relay.Downstream])
	c.leavePlaces()
	c.countEnd()
	c.log(config.LogEnd)
}

// leavePlaces gives back what the connection holds beside the upstream's places.
func (c *Connection) leavePlaces() {
	c.unclaim()
	if c.admitted {
		c.worker.around.Limits.Release(c.listener)
		c.loop().AddLoad(-1)
	}
	c.sourcePlace.Release()
	c.leaveGate()
}

// closeDownstream closes the client's socket by sock.Close or sock.Reset, once:
// the number may belong to another connection a moment later.
func (c *Connection) closeDownstream(how func(fd int)) {
	how(c.fds[relay.Downstream])
	c.fds[relay.Downstream] = -1
}

func (c *Connection) loop() *eventloop.Loop { return c.worker.loop.Loop }

// cluster is where the connection's chain sends it. There is a chain.
func (c *Connection) cluster() *cluster.Cluster { return c.route.cluster }
