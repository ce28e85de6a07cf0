package balance

import "github.com/sluiceproxy/sluice/config"

// Options are the settings of a cluster that its balancing follows.
type Options struct {
	Policy                 config.LBPolicy
	LeastRequest           config.LeastRequestPolicy
	RingHash               config.RingHashPolicy
	Maglev                 config.MaglevPolicy
	HealthyPanicThreshold  uint32 // percent; above 100 counts as 100, 0 = never panic
	OverprovisioningFactor uint32 // percent
	LocalityWeighted       bool
	Localities             []config.Locality // what Member.Locality points to

	// FailTrafficOnPanic gives nothing instead of any member where a priority
	// is in panic (Envoy: ZoneAwareLbConfig.fail_traffic_on_panic).
	FailTrafficOnPanic bool

	// WeightedPriorityHealth counts weights instead of members in the
	// availability of a priority (Envoy:
	// ClusterLoadAssignment.Policy.weighted_priority_health).
	WeightedPriorityHealth bool
}

// OptionsOf takes the settings of a cluster over. Its localities are those of
// c.Endpoints, each once.
func OptionsOf(c *config.Cluster) Options {
	o := Options{
		Policy:                 c.LBPolicy,
		LeastRequest:           c.LeastRequest,
		RingHash:               c.RingHash,
		Maglev:                 c.Maglev,
		HealthyPanicThreshold:  c.HealthyPanicThreshold,
		OverprovisioningFactor: c.OverprovisioningFactor,
		LocalityWeighted:       c.LocalityWeighted,
		FailTrafficOnPanic:     c.FailTrafficOnPanic,
	}
	seen := make(map[config.Locality]bool)
	for i := range c.Endpoints {
		l := c.Endpoints[i].Locality
		if l != (config.Locality{}) && !seen[l] {
			seen[l] = true
			o.Localities = append(o.Localities, l)
		}
	}
	return o
}

// hashes says whether a connection's hash decides.
func (o *Options) hashes() bool {
	return o.Policy == config.RingHash || o.Policy == config.Maglev
}
