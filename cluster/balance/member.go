package balance

import "sync/atomic"

// Health of a member, as the balancer sees it.
type Health uint8

// Healthy members take load first, Degraded ones what the healthy cannot, and
// Unhealthy ones only in panic. Excluded members, such as those that wait for
// their first health check, take no load either and do not count in the
// availability of their priority (Envoy: HostSet::excludedHosts).
const (
	Healthy Health = iota
	Degraded
	Unhealthy
	Excluded
)

// Member is an endpoint of a cluster. Pointers and strings in it are shared
// with the tables made from it.
type Member struct {
	ID             int32   // stays with the endpoint while it lives; what Tried remembers
	Key            string  // what ring hash and Maglev hash: the address or the host's name
	Weight         uint32  // share of load among its likes; 0 = no traffic at all, as if not there
	Ramp           float64 // factor of slow start, above 0 and below 1; anything else means 1
	Priority       uint32  // 0 first; gaps are fine; above MaxPriority counts as that
	Health         Health
	Locality       int32         // place in Options.Localities; -1 = in none
	LocalityWeight uint32        // of its locality in its priority; that of the first member there counts
	Active         *atomic.Int64 // open connections, read by each least_request pick; nil = always 0
}

// MaxPriority is the last priority there can be, as in Envoy
// (LocalityLbEndpoints.priority). It bounds the tables of a cluster.
const MaxPriority = 128

func (m *Member) priority() uint32 { return min(m.Priority, MaxPriority) }

// weight is what the member weighs after slow start.
func (m *Member) weight() float64 {
	if m.Ramp > 0 && m.Ramp < 1 {
		return float64(m.Weight) * m.Ramp
	}
	return float64(m.Weight)
}
