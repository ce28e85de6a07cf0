package config

import (
	"fmt"
	"math"
	"time"
)

// maxUserTimeout is what TCP_USER_TIMEOUT can hold: milliseconds in an int.
const maxUserTimeout = math.MaxInt32 * time.Millisecond

func (v *validator) clusterList(clusters []Cluster) {
	names := make(map[string]string, len(clusters))
	for i := range clusters {
		c := &clusters[i]
		path := fmt.Sprintf("clusters[%d]", i)
		v.name(path+".name", c.Name, names)
		oneOf(v, path+".type", c.Type, ClusterTypes())
		oneOf(v, path+".lb_policy", c.LBPolicy, LBPolicies())
		if c.ConnectTimeout <= 0 {
			v.add(path+".connect_timeout", "must be more than 0s, not %v", c.ConnectTimeout)
		}
		if t := c.TCPUserTimeout; t < 0 || t > maxUserTimeout || t > 0 && t < time.Millisecond {
			v.add(path+".tcp_user_timeout", "must be 0s (the kernel's own) or from 1ms to %v, not %v", maxUserTimeout, t)
		}
		v.breakers(path+".circuit_breakers", &c.CircuitBreakers)
		v.balancing(path, c)
		oneOf(v, path+".on_endpoint_removed", c.OnEndpointRemoved, OpenConnectionsActions())
		oneOf(v, path+".on_endpoint_unhealthy", c.OnEndpointUnhealthy, OpenConnectionsActions())
		v.keepalive(path+".tcp_keepalive", c.TCPKeepalive)
		if c.ProxyProtocol != "" {
			oneOf(v, path+".proxy_protocol", c.ProxyProtocol, ProxyProtocolVersions())
		}
		v.source(path, c)
		if c.OutlierDetection != nil {
			v.outlier(path+".outlier_detection", c.OutlierDetection)
		}
		v.healthChecks(path, c)
		if c.Type == ClusterOriginalDst {
			v.originalDst(path, c)
			continue
		}
		if c.UpstreamPortOverride != 0 {
			v.add(path+".upstream_port_override", "works with type original_dst only: give the endpoints that port instead")
		}
		v.dns(path, c)
		v.endpoints(path, c)
	}
}

// source checks where upstream connections come from.
func (v *validator) source(path string, c *Cluster) {
	bind := c.UpstreamBindAddress
	if !bind.IsValid() {
		return
	}
	if c.TransparentSource {
		v.add(path+".upstream_bind_address", "cannot be given together with transparent_source: leave one out")
	}
	if bind.IsMulticast() {
		v.add(path+".upstream_bind_address", "must not be a multicast address (%s is)", bind)
	}
	if bind.Zone() != "" {
		v.add(path+".upstream_bind_address", "must not have a zone (%s has)", bind)
	}
}

func (v *validator) breakers(path string, b *CircuitBreakers) {
	atLeastOne := func(key string, n uint32) {
		if n == 0 {
			v.add(path+key, "must be at least 1 (%d is as good as unlimited), not 0", uint32(math.MaxUint32))
		}
	}
	atLeastOne(".max_connections", b.MaxConnections)
	atLeastOne(".max_pending", b.MaxPending)
}

// originalDst refuses what needs endpoints: a cluster that dials where the
// connection wanted to go has none of its own to check or to choose from.
func (v *validator) originalDst(path string, c *Cluster) {
	none := func(key string, given bool) {
		if given {
			v.add(path+key, "must be left out with type original_dst: it dials where the connection wanted to go")
		}
	}
	none(".endpoints", len(c.Endpoints) > 0)
	none(".outlier_detection", c.OutlierDetection != nil)
	none(".circuit_breakers.max_connections_per_endpoint", c.CircuitBreakers.MaxConnectionsPerEndpoint > 0)
	none(".lb_policy", c.LBPolicy != RoundRobin)
}
