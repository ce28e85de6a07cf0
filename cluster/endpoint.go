package cluster

import (
	"net/netip"
	"sync/atomic"
)

// Endpoint is an address to connect to, as Pick chose it.
type Endpoint struct {
	Address netip.AddrPort
	number  int32 // from 1, in the table of endpoints; 0 = in none, so that the zero Endpoint is harmless
}

// endpoint is a member of a static cluster. Its counts are shared by the
// loops: an endpoint has no place in the loops' own shards, whose size would
// then depend on how many endpoints come and go.
type endpoint struct {
	address  netip.AddrPort
	weight   uint32
	active   atomic.Int64
	total    atomic.Uint64
	failures atomic.Uint64
}

// EndpointInfo is what /clusters shows of an endpoint.
type EndpointInfo struct {
	Address           netip.AddrPort
	Weight            uint32
	ActiveConnections int64
	TotalConnections  uint64 // attempts that Opened has counted
	ConnectFailures   uint64
}

// Endpoints lists the members of a static cluster in the order of the
// configuration. A cluster of type original_dst has none.
func (c *Cluster) Endpoints() []EndpointInfo {
	list := make([]EndpointInfo, len(c.endpoints))
	for i := range c.endpoints {
		e := &c.endpoints[i]
		list[i] = EndpointInfo{
			Address:           e.address,
			Weight:            e.weight,
			ActiveConnections: e.active.Load(),
			TotalConnections:  e.total.Load(),
			ConnectFailures:   e.failures.Load(),
		}
	}
	return list
}

// member is ep's place in the table, nil for an original destination.
func (c *Cluster) member(ep Endpoint) *endpoint {
	if ep.number == 0 {
		return nil
	}
	return &c.endpoints[ep.number-1]
}

// Opened counts a connection to ep from now on as active, in Envoy's sense
// from the moment that it is dialled. Closed ends it.
func (c *Cluster) Opened(ep Endpoint) {
	if e := c.member(ep); e != nil {
		e.active.Add(1)
		e.total.Add(1)
	}
}

// Closed ends a connection that Opened has counted, whether or not it was ever
// established.
func (c *Cluster) Closed(ep Endpoint) {
	if e := c.member(ep); e != nil {
		e.active.Add(-1)
	}
}

// ConnectFailed counts an attempt that failed by the endpoint's fault: see
// Blame. Timeouts count too.
func (c *Cluster) ConnectFailed(ep Endpoint) {
	if e := c.member(ep); e != nil {
		e.failures.Add(1)
	}
}
