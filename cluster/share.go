package cluster

import (
	"net/netip"

	"github.com/sluiceproxy/sluice/cluster/balance"
	"github.com/sluiceproxy/sluice/config"
)

// Share is an endpoint with its part of a cluster's new connections.
type Share struct {
	Address  string // ip:port, or name:port where nobody asked DNS
	Percent  float64
	Health   string // healthy, degraded, unhealthy
	Priority uint32
	Locality config.Locality
}

// Shares tells where Pick leads connections whose original destination is
// original, if their first attempt succeeds: all endpoints in the order of the
// configuration, or the one address of a cluster of type original_dst. None
// means that there is nowhere to go.
func (c *Cluster) Shares(original netip.AddrPort) []Share {
	if c.originalDst {
		choice, ok := c.pickOriginal(&Query{Original: original, Tried: new(Tried)})
		if !ok {
			return nil
		}
		return []Share{{Address: choice.Endpoint.Address.String(), Percent: 100, Health: "healthy"}}
	}
	v := c.view.Load()
	percents := v.table.Shares()
	list := make([]Share, len(v.seats))
	for i := range v.seats {
		s := &v.seats[i]
		list[i] = Share{
			Address:  s.member.key,
			Percent:  percents[i],
			Health:   healthName(s.member.health()),
			Priority: s.spec.Priority,
			Locality: s.spec.Locality,
		}
	}
	return list
}

func healthName(f flag) string {
	switch healthOf(f) {
	case balance.Healthy:
		return "healthy"
	case balance.Degraded:
		return "degraded"
	}
	return "unhealthy"
}
