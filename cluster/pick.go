package cluster

import (
	"net/netip"

	"github.com/sluiceproxy/sluice/cluster/balance"
)

// Tried remembers which endpoints of one cluster a connection has tried. The
// zero value is ready.
type Tried = balance.Tried

// Query is what an endpoint is picked by.
type Query struct {
	Original netip.AddrPort // where the connection wanted to go
	Client   netip.Addr     // the invalid Addr: policies that hash pick at random
	Tried    *Tried
}

// Choice is what Pick found.
type Choice struct {
	Endpoint Endpoint
	Panic    bool // chosen without regard to health
}

// Pick chooses an endpoint that is not in q.Tried, and adds it there; false
// means that there is none left. A cluster of type original_dst gives
// q.Original, with upstream_port_override, once.
func (c *Cluster) Pick(q *Query) (Choice, bool) {
	if c.originalDst {
		return c.pickOriginal(q)
	}
	v := c.view.Load()
	by := balance.Query{Tried: q.Tried}
	if c.hashes && q.Client.IsValid() {
		by.Hash, by.Hashed = balance.Hash(q.Client), true
	}
	choice, ok := v.table.Pick(&by)
	if !ok {
		return Choice{Panic: choice.Panic}, false
	}
	s := &v.seats[choice.Index]
	// Nothing of the view itself: a connection would keep all of it as long as it
	// lives, and views are many.
	ep := Endpoint{Address: s.addresses[0], member: s.member, spec: s.spec, others: s.others}
	return Choice{ep, choice.Panic}, true
}

func (c *Cluster) pickOriginal(q *Query) (Choice, bool) {
	if q.Tried.Len() > 0 || !q.Original.IsValid() {
		return Choice{}, false
	}
	q.Tried.Add(0)
	port := q.Original.Port()
	if c.portOverride != 0 {
		port = c.portOverride
	}
	return Choice{Endpoint: Endpoint{Address: netip.AddrPortFrom(q.Original.Addr().Unmap(), port)}}, true
}
