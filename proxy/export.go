package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// Exported is a connection on its way out of this process. Whoever has it owns
// the two descriptors of its Connection. When another process has taken the
// connection they are to be closed at once, by sock.Close: that shows nothing to the
// peers, but as long as they are open, the FIN or RST of a close in the other process
// does not go out. When none has taken it, Worker.TakeBack takes them.
type Exported struct {
	handover.Connection
	was *Connection
}

// Export takes up to limit relaying connections off the worker, those first that
// it has had for longest. To this process they are gone, without an end: places
// under all limits are given back and gauges go down, but no log line is written,
// and nothing is counted as closed. The loop watches their descriptors no longer.
//
// Connections that still wait for bytes or an endpoint, and those whose reset is
// still to be delivered, are left alone; some of them can be exported later.
// The table is that of the configuration in force.
func (w *Worker) Export(limit int, table *listener.Table) []Exported {
	var list []Exported
	w.each(func(c *Connection) {
		if len(list) >= limit {
			return
		}
		if conn, ok := c.depart(table); ok {
			list = append(list, Exported{conn, c})
		}
	})
	return list
}

// depart takes the connection off its worker, if it can go.
func (c *Connection) depart(table *listener.Table) (conn handover.Connection, ok bool) {
	if c.state != relaying {
		return conn, false
	}
	c.upstreamLocal() // is asked for while there is a socket
	state, ok := c.relay.Detach()
	if !ok {
		return conn, false
	}
	conn = c.describe(&state)
	conn.Trail = trailNames(c.trail, table)
	for side, fd := range c.fds {
		c.loop().Detach(c.watches[side], fd)
	}
	c.watches = [2]eventloop.Watch{}
	c.fds = relay.Sockets{-1, -1}
	c.loop().StopTimer(&c.timer)
	c.again = false
	c.state = away
	c.forgetNote()
	c.leaveBreakers()
	c.leavePlaces()
	c.countActive(-1)
	c.shard().Move(c.cluster().Stats.CxActive, -1)
	c.worker.unlink(c)
	return conn, true
}

// describe writes down all that the next owner has to know.
func (c *Connection) describe(state *relay.State) handover.Connection {
	d, at := &c.dialling, c.worker.calendar()
	conn := handover.Connection{
		ID:             c.id,
		Listener:       c.listenerName(),
		Chain:          c.chainName(),
		Cluster:        c.clusterName(),
		Direction:      c.direction(),
		Peer:           c.peer,
		Source:         c.source,
		Destination:    c.destination,
		Endpoint:       d.endpoint.Address,
		UpstreamLocal:  d.local,
		Accepted:       at.date(c.accepted),
		Connected:      at.date(c.connected),
		LastByte:       at.date(state.LastByte),
		Attempts:       d.attempts,
		ConnectTook:    time.Duration(c.connected - d.began),
		RBACLogPolicy:  c.logPolicy,
		Stored:         c.stored,
		FromDownstream: handover.Flow(state.Flows[relay.Downstream]),
		FromUpstream:   handover.Flow(state.Flows[relay.Upstream]),
		Downstream:     c.fds[relay.Downstream],
		Upstream:       c.fds[relay.Upstream],
	}
	if conn.FirstByteAwaited = c.patience.waiting; c.patience.asked != 0 {
		conn.Asked = at.date(c.patience.asked)
	}
	c.describeInspection(&conn)
	return conn
}

func (c *Connection) describeInspection(conn *handover.Connection) {
	in := c.inspection
	if in == nil {
		return
	}
	conn.Inspected, conn.ServerNameKnown = true, in.NameKnown
	conn.ServerName, conn.TransportProtocol = in.Facts.ServerName, string(in.Facts.TransportProtocol)
	conn.ApplicationProtocols = in.Facts.ApplicationProtocols
	if details := in.Details; details != nil {
		conn.JA3, conn.JA4 = details.JA3, details.JA4
		conn.ProxyAuthority, conn.ProxyUniqueID = []byte(details.Authority), []byte(details.UniqueID)
	}
}
