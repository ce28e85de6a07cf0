package cluster

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/cluster/balance"
	"github.com/sluiceproxy/sluice/config"
)

// view is the endpoints of a cluster at one moment, as the event loops see
// them. It is never changed; what changes makes another.
type view struct {
	seats    []seat // as the table counts them
	table    *balance.Table
	healthy  int
	degraded int
}

// seat is an endpoint in a view.
type seat struct {
	member    *member
	spec      *config.Endpoint
	addresses []netip.AddrPort  // never none
	others    *[]netip.AddrPort // addresses, if there are several; apart, because connections hold on to it
}

// refresh makes a view of what is known now. It needs the lock.
func (c *Cluster) refresh(now time.Time) {
	v := &view{seats: make([]seat, len(c.members))}
	list := make([]balance.Member, len(c.members))
	c.ramping = false
	for i, m := range c.members {
		v.seats[i] = seat{member: m, spec: m.spec, addresses: m.addresses, others: m.others}
		list[i] = balance.Member{
			ID:             m.id,
			Key:            m.key,
			Weight:         m.spec.Weight,
			Ramp:           c.ramp(m, now),
			Priority:       m.spec.Priority,
			Health:         healthOf(m.health()),
			Locality:       m.place,
			LocalityWeight: m.spec.LocalityWeight,
			Active:         &m.active,
		}
		switch list[i].Health {
		case balance.Healthy:
			v.healthy++
		case balance.Degraded:
			v.degraded++
		}
	}
	var previous *balance.Table
	if old := c.view.Load(); old != nil {
		previous = old.table
	}
	v.table = balance.Build(list, &c.options, previous)
	c.view.Store(v)
}

func healthOf(f flag) balance.Health {
	switch {
	case f&unavailable != 0:
		return balance.Unhealthy
	case f&(degradedActiveCheck|degradedStatus) != 0:
		return balance.Degraded
	}
	return balance.Healthy
}

// ramp is the share of its weight that an endpoint has so far, by slow start. It
// needs the lock.
func (c *Cluster) ramp(m *member, now time.Time) float64 {
	if c.cfg.SlowStart.Window == 0 {
		return 1
	}
	share := balance.Ramp(&c.cfg.SlowStart, now.Sub(m.since))
	c.ramping = c.ramping || share < 1
	return share
}
