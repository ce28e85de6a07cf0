package cluster

import "net/netip"

// Share is an endpoint with its part of a cluster's new connections.
type Share struct {
	Address netip.AddrPort
	Percent float64
}

// Shares tells where Pick leads connections whose original destination is
// original, if their first attempt succeeds: all endpoints of a static cluster
// in the order of the configuration, those of weight 0 too, or the one address of
// a cluster of type original_dst. None means that there is nowhere to go.
func (c *Cluster) Shares(original netip.AddrPort) []Share {
	if c.originalDst {
		endpoint, ok := c.pickOriginal(original, new(Tried))
		if !ok {
			return nil
		}
		return []Share{{endpoint.Address, 100}}
	}
	if c.schedule == nil {
		return nil
	}
	list := make([]Share, len(c.endpoints))
	for i, percent := range c.schedule.shares(len(c.endpoints)) {
		list[i] = Share{c.endpoints[i].address, percent}
	}
	return list
}
