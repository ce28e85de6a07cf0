package proxy

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// ErrInconsistent is what Import says of a connection of which something is
// missing.
var ErrInconsistent = errors.New("the connection's counts, flags and times do not fit together")

// CheckImport says whether Import would find that something of a connection is
// missing: before it is taken, it can still be left to the other process.
func CheckImport(conn *handover.Connection) error {
	state := stateOf(conn, calendar{})
	if !state.Valid() || conn.Accepted.IsZero() || conn.Connected.IsZero() || conn.LastByte.IsZero() {
		return fmt.Errorf("take over connection %d from %s: %w", conn.ID, conn.Peer, ErrInconsistent)
	}
	return nil
}

// Import goes on with a connection that another process has exported, and owns its
// descriptors, which must not block. It takes places under all limits, whether
// there are any left or not, and asks no policy: it was let in already. The clusters
// should know their endpoints before it, so that it counts for its own.
//
// With an error nothing was taken, and the descriptors stay the caller's.
func (w *Worker) Import(conn *handover.Connection, homes *Homes) error {
	if err := CheckImport(conn); err != nil {
		return err
	}
	state := stateOf(conn, w.calendar())
	w.around.ContinueIDs(conn.ID)
	c := w.take()
	c.become(conn, homes)
	if errno := c.watchBoth(); errno != 0 {
		w.put(c)
		return fmt.Errorf("take over connection %d from %s: watch its sockets: %w", conn.ID, conn.Peer, errno)
	}
	c.goOn(&state, 0)
	return nil
}

// TakeBack goes on with a connection of Export that no other process has taken,
// as if nothing had happened: with the chain, the cluster and the endpoint that it
// had. If the loop cannot watch its descriptors any more, it is reset.
func (w *Worker) TakeBack(e Exported) {
	c := e.was
	w.link(c)
	c.fds = relay.Sockets{e.Downstream, e.Upstream}
	errno := c.watchBoth()
	state := stateOf(&e.Connection, w.calendar())
	c.goOn(&state, errno)
}

// stateOf is the relay's part of a connection.
func stateOf(conn *handover.Connection, at calendar) relay.State {
	s := relay.State{LastByte: at.moment(conn.LastByte)}
	s.Flows[relay.Downstream] = relay.FlowState(conn.FromDownstream)
	s.Flows[relay.Upstream] = relay.FlowState(conn.FromUpstream)
	return s
}

// become makes c, which is fresh, the connection that conn describes.
func (c *Connection) become(conn *handover.Connection, homes *Homes) {
	at, h := c.worker.calendar(), homes.find(conn)
	c.id = conn.ID
	c.listener, c.chain, c.route = h.listener, h.chain, h.route
	if h.orphan {
		c.names = namesOf(conn)
	}
	c.peer, c.source, c.destination = conn.Peer, conn.Source, conn.Destination
	c.trail = homes.trail(conn.Trail)
	c.logPolicy = conn.RBACLogPolicy
	c.stored = conn.Stored // goOn marks it
	c.fds = relay.Sockets{conn.Downstream, conn.Upstream}
	c.counted, c.admitted, c.established = true, true, true
	c.accepted, c.connected = at.moment(conn.Accepted), at.moment(conn.Connected)
	c.dialling.attempts = conn.Attempts
	c.dialling.endpoint, c.dialling.local = c.cluster().Find(conn.Endpoint), conn.UpstreamLocal
	c.dialling.began = c.connected - int64(max(conn.ConnectTook, 0))
	c.expect()
	c.patience.waiting = c.patience.waiting && conn.FirstByteAwaited
	if !conn.Asked.IsZero() {
		c.patience.asked = at.moment(conn.Asked)
	}
	if conn.Inspected {
		c.inspection = inspectionOf(conn)
	}
}

// inspectionOf is what logs and policies ask of an inspection.
func inspectionOf(conn *handover.Connection) *listener.Inspection {
	in := &listener.Inspection{NameKnown: conn.ServerNameKnown}
	in.Facts.ServerName = conn.ServerName
	in.Facts.TransportProtocol = config.TransportProtocol(conn.TransportProtocol)
	in.Facts.ApplicationProtocols = conn.ApplicationProtocols
	details := listener.Details{
		JA3: conn.JA3, JA4: conn.JA4,
		Authority: string(conn.ProxyAuthority), UniqueID: string(conn.ProxyUniqueID),
	}
	if details != (listener.Details{}) {
		in.Details = &details
	}
	return in
}

// watchBoth has both sockets watched, or none.
func (c *Connection) watchBoth() sock.Errno {
	c.dialling.tag = upstream
	for tag, fd := range c.fds {
		watch, errno := c.loop().Watch(fd, interest, c, uint32(tag))
		if errno != 0 {
			if tag == int(upstream) {
				c.loop().Detach(c.watches[downstream], c.fds[relay.Downstream])
			}
			return errno
		}
		c.watches[tag] = watch
	}
	return 0
}

// goOn takes the connection's places and starts its relay from where it was. A
// connection whose sockets could not be watched (errno) is reset.
func (c *Connection) goOn(state *relay.State, errno sock.Errno) {
	defer func() {
		if value := recover(); value != nil {
			c.OnPanic(value, debug.Stack())
		}
	}()
	now := c.loop().Now()
	c.relay.Start(c.fds, c.worker.relays, &c.route.meters[c.worker.number], &c.chain.timeouts, c.accepted, now)
	c.relay.Resume(state)
	c.markStored(c.stored)
	c.state = relaying
	c.takePlaces()
	if errno != 0 {
		c.outcome.errno = errno
		c.reset(accesslog.SocketError)
		return
	}
	c.follow(relay.Downstream, c.relay.Move(relay.Downstream, now))
	if c.state == relaying {
		c.arm()
	}
}

// takePlaces takes what depart has given back, here or in another process.
func (c *Connection) takePlaces() {
	c.sourcePlace = c.worker.around.Limits.Adopt(c.peer.Addr(), c.listener)
	c.loop().AddLoad(1)
	if g := &c.chain.gate; g.limit != nil {
		c.place = g.limit.Adopt()
		c.shard().Move(g.limitSeen.Active, 1)
	}
	c.cluster().Adopt(c.dialling.endpoint)
	c.dialling.admitted, c.dialling.progress = true, cluster.Established
	c.noteAgain()
	c.countActive(1)
	c.shard().Move(c.cluster().Stats.CxActive, 1)
}

// noteAgain tells the guard of the connection, where it wants to know.
func (c *Connection) noteAgain() {
	d, guard := &c.dialling, c.worker.around.Guard
	transparent := c.cluster().Transparent()
	if transparent {
		d.claimed = guard.Claim(c.peer, c.destination, c.trail)
	}
	if transparent || guard.Concerns(d.endpoint.Address) {
		d.noted = guard.Claim(d.local, d.endpoint.Address, c.trail)
	}
}
