package cluster

import (
	"net/netip"

	"github.com/sluiceproxy/sluice/config"
)

// Endpoint is an address to connect to, as Pick chose it.
type Endpoint struct {
	Address netip.AddrPort
	member  *member           // nil: an original destination
	spec    *config.Endpoint  // as it was when it was picked
	others  *[]netip.AddrPort // all addresses of a name, this one first; nil: no more than one
}

// Others are the endpoint's other addresses, in the order in which they are to
// be tried. They must not be changed.
func (ep Endpoint) Others() []netip.AddrPort {
	if ep.others == nil {
		return nil
	}
	return (*ep.others)[1:]
}

// Locality is region/zone/sub_zone, as far as it is known.
func (ep Endpoint) Locality() string {
	if ep.spec == nil {
		return ""
	}
	return LocalityName(ep.spec.Locality)
}

// LocalityName is region/zone/sub_zone, as far as it is known.
func LocalityName(l config.Locality) string {
	name := l.Region
	for _, part := range []string{l.Zone, l.SubZone} {
		if part != "" {
			name += "/" + part
		}
	}
	return name
}

// EndpointInfo is what /clusters shows of an endpoint.
type EndpointInfo struct {
	Address           netip.AddrPort
	Hostname          string // the name that DNS gave the address for
	HealthFlags       string // Envoy's, each after a slash; empty = healthy
	Weight            uint32
	Priority          uint32
	Locality          config.Locality
	ActiveConnections int64
	TotalConnections  uint64 // that Admit has counted
	ConnectFailures   uint64
	SuccessRate       float64 // percent of connections that were made, in the last interval of outlier detection; -1 = not known
}

// Endpoints lists the endpoints of the moment, in the order of the
// configuration. A cluster of type original_dst has none.
func (c *Cluster) Endpoints() []EndpointInfo {
	seats := c.view.Load().seats
	list := make([]EndpointInfo, len(seats))
	for i := range seats {
		s := &seats[i]
		list[i] = EndpointInfo{
			Address:           s.addresses[0],
			Hostname:          s.spec.Address.Name,
			HealthFlags:       s.member.health().String(),
			Weight:            s.spec.Weight,
			Priority:          s.spec.Priority,
			Locality:          s.spec.Locality,
			ActiveConnections: s.member.active.Load(),
			TotalConnections:  s.member.total.Load(),
			ConnectFailures:   s.member.failures.Load(),
			SuccessRate:       c.successRate(s.member.id),
		}
	}
	return list
}
