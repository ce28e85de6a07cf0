package cluster

import "net/netip"

// maxSearch bounds the walk along the schedule for an endpoint that is not
// tried yet. Where a heavy endpoint fills longer stretches than that, the
// table is searched instead.
const maxSearch = 64

// Pick chooses an endpoint that is not in tried, and adds it there. A static
// cluster gives its endpoints in turn, by weight. One of type original_dst
// gives original, with upstream_port_override, once. False means that there is
// none left.
func (c *Cluster) Pick(original netip.AddrPort, tried *Tried) (Endpoint, bool) {
	if c.originalDst {
		return c.pickOriginal(original, tried)
	}
	if tried.Len() >= len(c.endpoints) {
		return Endpoint{}, false
	}
	place := c.pickPlace(tried)
	tried.add(place)
	return Endpoint{Address: c.endpoints[place].address, number: place + 1}, true
}

// pickPlace finds an untried endpoint; there is one. What comes instead of an
// endpoint that is tried already is looked up ahead of the shared cursor,
// without moving it: a retry of one connection must not cost the endpoints in
// between their turn.
func (c *Cluster) pickPlace(tried *Tried) int32 {
	turn := c.schedule.turn()
	place := c.schedule.at(turn)
	for ahead := uint64(1); tried.has(place) && ahead < maxSearch; ahead++ {
		place = c.schedule.at(turn + ahead)
	}
	for tried.has(place) {
		place = (place + 1) % int32(len(c.endpoints))
	}
	return place
}

func (c *Cluster) pickOriginal(original netip.AddrPort, tried *Tried) (Endpoint, bool) {
	if tried.Len() > 0 || !original.IsValid() {
		return Endpoint{}, false
	}
	tried.add(0)
	port := original.Port()
	if c.portOverride != 0 {
		port = c.portOverride
	}
	return Endpoint{Address: netip.AddrPortFrom(original.Addr().Unmap(), port)}, true
}
