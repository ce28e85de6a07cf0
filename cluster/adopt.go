package cluster

import (
	"net/netip"
	"slices"
)

// Find is the endpoint with an address, as a live connection from another process
// has it. Where the cluster has no such endpoint (any more, or not yet), or is of
// type original_dst, it is the bare address: connections to it count for the
// cluster alone. It looks through all endpoints, without a lock.
func (c *Cluster) Find(address netip.AddrPort) Endpoint {
	seats := c.view.Load().seats
	for i := range seats {
		if s := &seats[i]; slices.Contains(s.addresses, address) {
			return Endpoint{Address: address, member: s.member, spec: s.spec}
		}
	}
	return Endpoint{Address: address}
}

// Adopt counts an established connection to ep that was not dialled here, whatever
// the limits are. Release gives its places back. It is not counted in the
// endpoint's total, nor told to outlier detection: who dialled it did both.
func (c *Cluster) Adopt(ep Endpoint) {
	c.admitted.Add(1)
	if ep.member != nil {
		ep.member.active.Add(1)
	}
	c.used.Store(true)
}
