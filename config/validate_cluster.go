package config

import (
	"fmt"
	"math"
	"net/netip"
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
		if c.CircuitBreakers.MaxConnections == 0 {
			v.add(path+".circuit_breakers.max_connections", "must be at least 1 (%d is as good as unlimited), not 0", uint32(math.MaxUint32))
		}
		v.keepalive(path+".tcp_keepalive", c.TCPKeepalive)
		if c.ProxyProtocol != "" {
			oneOf(v, path+".proxy_protocol", c.ProxyProtocol, ProxyProtocolVersions())
		}
		v.source(path, c)
		if c.OutlierDetection != nil {
			v.outlier(path+".outlier_detection", c.OutlierDetection)
		}
		v.healthChecks(path, c)
		switch c.Type {
		case ClusterOriginalDst:
			v.originalDst(path, c)
		case ClusterStatic:
			v.static(path, c)
		}
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

func (v *validator) originalDst(path string, c *Cluster) {
	if len(c.Endpoints) > 0 {
		v.add(path+".endpoints", "must be left out with type original_dst: it dials where the connection wanted to go")
	}
}

func (v *validator) static(path string, c *Cluster) {
	if c.UpstreamPortOverride != 0 {
		v.add(path+".upstream_port_override", "works with type original_dst only: give the endpoints that port instead")
	}
	seen := make(map[netip.AddrPort]int, len(c.Endpoints))
	sum := uint64(0)
	for i, e := range c.Endpoints {
		at := fmt.Sprintf("%s.endpoints[%d]", path, i)
		v.endpointAddress(at+".address", e.Address, c.UpstreamBindAddress)
		if first, ok := seen[e.Address]; ok && e.Address.IsValid() {
			v.add(at+".address", "%s is already endpoints[%d]: give that one more weight instead", e.Address, first)
		}
		seen[e.Address] = i
		if e.Weight == 0 {
			v.add(at+".weight", "must be at least 1, not 0")
		}
		sum += uint64(e.Weight)
	}
	v.weightSum(path+".endpoints", sum)
}

func (v *validator) endpointAddress(path string, a netip.AddrPort, bind netip.Addr) {
	ip := a.Addr()
	switch {
	case !a.IsValid():
		v.add(path, "is required: IP:port, such as 10.4.1.12:9080")
	case a.Port() == 0:
		v.add(path, "must have a port from 1 to 65535, not 0")
	case ip.IsUnspecified() || ip.IsMulticast():
		v.add(path, "must be an address that can be connected to (%s cannot)", ip)
	case ip.Zone() != "":
		v.add(path, "must not have a zone (%s has)", a)
	case bind.IsValid() && bind.Is4() != ip.Is4():
		v.add(path, "%s cannot be reached from upstream_bind_address %s: both must be IPv4 or both IPv6", a, bind)
	}
}
