package config

import "time"

const (
	maxRing        = 8 << 20 // Envoy's bound of maximum_ring_size
	maxMaglevTable = 5000011 // Envoy's bound of table_size
	maxChoices     = 64
)

// balancing checks how a cluster chooses among its endpoints.
func (v *validator) balancing(path string, c *Cluster) {
	if n := c.LeastRequest.ChoiceCount; n < 2 || n > maxChoices {
		v.add(path+".least_request.choice_count", "must be from 2 to %d, not %d", maxChoices, n)
	}
	if b := c.LeastRequest.ActiveRequestBias; b < 0 {
		v.add(path+".least_request.active_request_bias", "must not be negative, it is %v", b)
	}
	least, most := c.RingHash.MinimumRingSize, c.RingHash.MaximumRingSize
	if most < 1 || most > maxRing {
		v.add(path+".ring_hash.maximum_ring_size", "must be from 1 to %d, not %d", maxRing, most)
	}
	if least < 1 || least > most && most <= maxRing {
		v.add(path+".ring_hash.minimum_ring_size", "must be from 1 to maximum_ring_size (%d), not %d", most, least)
	}
	if n := c.Maglev.TableSize; n > maxMaglevTable || !isPrime(n) {
		v.add(path+".maglev.table_size", "must be a prime up to %d, such as 65537, not %d", maxMaglevTable, n)
	}
	if c.HealthyPanicThreshold > 100 {
		v.add(path+".healthy_panic_threshold", "must be a percentage from 0 (never) to 100, not %d", c.HealthyPanicThreshold)
	}
	if f := c.OverprovisioningFactor; f < 100 || f > 100000 {
		v.add(path+".overprovisioning_factor", "must be a percentage from 100 to 100000, not %d", f)
	}
	v.slowStart(path, c)
}

// slowStart is for the policies that go by weight all the time; those that hash
// would send clients to other endpoints while it lasts.
func (v *validator) slowStart(path string, c *Cluster) {
	s := &c.SlowStart
	path += ".slow_start"
	v.notNegative(path+".window", s.Window)
	if s.Aggression <= 0 {
		v.add(path+".aggression", "must be more than 0, not %v", s.Aggression)
	}
	if s.MinWeightPercent < 0 || s.MinWeightPercent > 100 {
		v.add(path+".min_weight_percent", "must be a percentage from 0 to 100, not %v", s.MinWeightPercent)
	}
	if s.Window > 0 && c.LBPolicy != RoundRobin && c.LBPolicy != LeastRequest {
		v.add(path+".window", "works with lb_policy round_robin and least_request only, not with %s", c.LBPolicy)
	}
}

// dns checks how names are resolved; without names it is not used.
func (v *validator) dns(path string, c *Cluster) {
	const fastest = 100 * time.Millisecond
	d := &c.DNS
	path += ".dns"
	if d.RefreshRate < fastest {
		v.add(path+".refresh_rate", "must be at least %v, not %v", fastest, d.RefreshRate)
	}
	oneOf(v, path+".lookup_family", d.LookupFamily, LookupFamilies())
	for i, r := range d.Resolvers {
		if at := indexed(path+".resolvers", i); !r.IsValid() || r.Port() == 0 {
			v.add(at, "must be IP:port, such as 10.96.0.10:53")
		}
	}
}

func isPrime(n uint32) bool {
	if n < 2 {
		return false
	}
	for d := uint32(2); uint64(d)*uint64(d) <= uint64(n); d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}
