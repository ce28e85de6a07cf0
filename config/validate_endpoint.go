package config

import (
	"fmt"
	"strings"
)

// maxPriority is Envoy's bound.
const maxPriority = 128

// place is a locality at a priority: the endpoints that share a locality_weight.
type place struct {
	Locality
	priority uint32
}

func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func (v *validator) endpoints(path string, c *Cluster) {
	if c.Type == ClusterLogicalDNS && len(c.Endpoints) != 1 {
		v.add(path+".endpoints", "must have exactly one with type logical_dns, not %d: strict_dns takes several names", len(c.Endpoints))
	}
	seen := make(map[HostPort]int, len(c.Endpoints))
	weights := make(map[place]uint32)
	sum := uint64(0)
	for i := range c.Endpoints {
		e, at := &c.Endpoints[i], indexed(path+".endpoints", i)
		v.endpointAddress(at+".address", e.Address, c)
		if first, ok := seen[e.Address]; ok && e.Address.IsValid() {
			v.add(at+".address", "%s is already endpoints[%d]: give that one more weight instead", e.Address, first)
		}
		seen[e.Address] = i
		if e.Weight == 0 {
			v.add(at+".weight", "must be at least 1, not 0")
		}
		sum += uint64(e.Weight)
		oneOf(v, at+".health_status", e.HealthStatus, HealthStatuses())
		if e.Priority > maxPriority {
			v.add(at+".priority", "must be from 0 to %d, not %d", maxPriority, e.Priority)
		}
		v.localityWeight(at+".locality_weight", e, weights)
	}
	v.weightSum(path+".endpoints", sum)
	v.priorities(path+".endpoints", c.Endpoints)
}

// localityWeight belongs to the locality, and is written at its endpoints.
func (v *validator) localityWeight(path string, e *Endpoint, weights map[place]uint32) {
	at := place{e.Locality, e.Priority}
	if e.LocalityWeight == 0 {
		v.add(path, "must be at least 1, not 0")
	} else if first, ok := weights[at]; !ok {
		weights[at] = e.LocalityWeight
	} else if first != e.LocalityWeight {
		v.add(path, "must be the same for all endpoints of a locality and priority: it is %d here and %d before", e.LocalityWeight, first)
	}
}

// priorities must not leave one out: load would never get past the gap.
func (v *validator) priorities(path string, endpoints []Endpoint) {
	var there [maxPriority + 1]bool
	highest := uint32(0)
	for _, e := range endpoints {
		if e.Priority <= maxPriority {
			there[e.Priority] = true
			highest = max(highest, e.Priority)
		}
	}
	for p := range highest {
		if !there[p] {
			v.add(path, "priorities must be 0, 1, 2 and so on: there is a %d and no %d", highest, p)
			return
		}
	}
}

func (v *validator) endpointAddress(path string, a HostPort, c *Cluster) {
	bind := c.UpstreamBindAddress
	ip := a.Addr()
	switch {
	case !a.IsValid() && c.Type == ClusterStatic:
		v.add(path, "is required: IP:port, such as 10.4.1.12:9080")
	case !a.IsValid():
		v.add(path, "is required: host:port, such as ratings.example:9080")
	case a.Port() == 0:
		v.add(path, "must have a port from 1 to 65535, not 0")
	case a.Name != "" && c.Type == ClusterStatic:
		v.add(path, "must be an IP address with type static: names (%s) need type strict_dns or logical_dns", a.Name)
	case a.Name != "" && !isDNSName(a.Name):
		v.add(path, "%q is not a name that DNS can have", a.Name)
	case a.Name != "":
	case ip.IsUnspecified() || ip.IsMulticast():
		v.add(path, "must be an address that can be connected to (%s cannot)", ip)
	case ip.Zone() != "":
		v.add(path, "must not have a zone (%s has)", a)
	case bind.IsValid() && bind.Is4() != ip.Is4():
		v.add(path, "%s cannot be reached from upstream_bind_address %s: both must be IPv4 or both IPv6", a, bind)
	}
}

// isDNSName is isHostName with what DNS has besides: a dot at the end for a name
// that no search domain is added to, and underscores.
func isDNSName(name string) bool {
	const longest, longestLabel = 253, 63
	name = strings.TrimSuffix(name, ".")
	for label := range strings.SplitSeq(name, ".") {
		if len(label) > longestLabel {
			return false
		}
	}
	return len(name) <= longest && isHostName(strings.ReplaceAll(name, "_", "0"))
}
