package cluster

import (
	"sync/atomic"

	"github.com/sluiceproxy/sluice/outlier"
)

// Refusal is which limit of circuit_breakers a connection would exceed.
type Refusal uint8

// The refusals; zero is none.
const (
	Admitted Refusal = iota
	ClusterFull
	PendingFull
	EndpointFull // others may have room
)

// String names the limit.
func (r Refusal) String() string {
	return [...]string{"", "max_connections", "max_pending", "max_connections_per_endpoint"}[r]
}

// Progress is how far an admitted connection has come.
type Progress uint8

// The steps of a connection.
const (
	Dialling Progress = iota
	Established
)

// Admit takes a place for one connection to ep under max_connections,
// max_pending and max_connections_per_endpoint, and counts it as active, in
// Envoy's sense from the moment that it is dialled. What it refuses has taken
// none. Each place taken is given back by Release; Connected gives back the one
// under max_pending before.
func (c *Cluster) Admit(ep Endpoint) Refusal {
	if !take(&c.admitted, c.maxConnections) {
		return ClusterFull
	}
	if !take(&c.pending, c.maxPending) {
		c.admitted.Add(-1)
		return PendingFull
	}
	if m := ep.member; m != nil {
		if !take(&m.active, c.maxPerEndpoint) {
			c.pending.Add(-1)
			c.admitted.Add(-1)
			return EndpointFull
		}
		m.total.Add(1)
	}
	if !c.used.Load() {
		c.used.Store(true)
	}
	return Admitted
}

// take adds one unless that would exceed limit. Adding first and taking back
// after would let two loops refuse each other while a place is free.
func take(n *atomic.Int64, limit int64) bool {
	for {
		have := n.Load()
		if have >= limit {
			return false
		}
		if n.CompareAndSwap(have, have+1) {
			return true
		}
	}
}

// Connected gives back the place under max_pending of a connection that Admit
// let in, and tells outlier detection of it.
func (c *Cluster) Connected(ep Endpoint) {
	c.pending.Add(-1)
	c.Report(ep, outlier.LocalConnectSuccess)
}

// Release gives back the other places that Admit took, and the one under
// max_pending where the connection was still being dialled.
func (c *Cluster) Release(ep Endpoint, progress Progress) {
	if progress == Dialling {
		c.pending.Add(-1)
	}
	c.admitted.Add(-1)
	if ep.member != nil {
		ep.member.active.Add(-1)
	}
}

// Admitted is how many connections are open or being dialled now.
func (c *Cluster) Admitted() int64 { return c.admitted.Load() }

// Pending is how many are being dialled now.
func (c *Cluster) Pending() int64 { return c.pending.Load() }

// MaxConnections is the limit of connections, those being dialled included.
func (c *Cluster) MaxConnections() int64 { return c.maxConnections }

// MaxPending is the limit of connections being dialled.
func (c *Cluster) MaxPending() int64 { return c.maxPending }
