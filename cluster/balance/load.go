package balance

// PriorityLoad is how a priority fares.
type PriorityLoad struct {
	Priority     uint32
	HealthyLoad  int  // percent of all picks that go to its healthy members
	DegradedLoad int  // percent of all picks that go to its degraded members
	Panic        bool // both go to all its members, whatever their health
}

// count is how many members of a priority are what, or how much they weigh.
type count struct{ all, healthy, degraded, excluded uint64 }

func (c *count) add(h Health, n uint64) {
	c.all += n
	switch h {
	case Healthy:
		c.healthy += n
	case Degraded:
		c.degraded += n
	case Excluded:
		c.excluded += n
	}
}

// maxOverprovisioning keeps the products of factors and weights inside of 64
// bits.
const maxOverprovisioning = 1 << 16

// available is the percentage of n in the members that count, overprovisioned:
// 0 to 100. It rounds down, as Envoy does.
func (c *count) available(n uint64, o *Options) int {
	counted := c.all - c.excluded
	if counted == 0 {
		return 0
	}
	factor := uint64(min(o.OverprovisioningFactor, maxOverprovisioning))
	return int(min(100, factor*n/counted))
}

// panics says whether too few members are available (Envoy:
// LoadBalancerBase::isHostSetInPanic).
func (c *count) panics(o *Options) bool {
	threshold := float64(min(o.HealthyPanicThreshold, 100))
	counted := c.all - c.excluded
	if counted == 0 {
		return threshold > 0
	}
	return 100*float64(c.healthy+c.degraded)/float64(counted) < threshold
}

// level is what the load of a priority is computed from.
type level struct {
	priority uint32
	members  count
	weights  count
}

// loadsOf spreads load over priorities, lowest number first (Envoy:
// recalculatePerPriorityState and recalculatePerPriorityPanic). If there are
// any, the loads add up to 100.
func loadsOf(levels []level, o *Options) []PriorityLoad {
	loads := make([]PriorityLoad, len(levels))
	healthy, degraded := make([]int, len(levels)), make([]int, len(levels))
	total := 0
	for i := range levels {
		l := &levels[i]
		loads[i].Priority = l.priority
		counted := &l.members
		if o.WeightedPriorityHealth {
			counted = &l.weights
		}
		healthy[i] = counted.available(counted.healthy, o)
		degraded[i] = counted.available(counted.degraded, o)
		total = min(100, total+healthy[i]+degraded[i])
	}
	spread(loads, healthy, degraded, total)
	panics := alarm(loads, levels, total, o)
	if panics == len(levels) {
		spreadByMembers(loads, levels)
	}
	return loads
}

// spread gives load to what is available, healthy members of all priorities
// first. What rounding leaves over goes to the first that is available.
func spread(loads []PriorityLoad, healthy, degraded []int, total int) {
	if total == 0 {
		return
	}
	left := 100
	var first *int
	give := func(load *int, available int) {
		if first == nil && available > 0 {
			first = load
		}
		*load = min(left, available*100/total)
		left -= *load
	}
	for i := range loads {
		give(&loads[i].HealthyLoad, healthy[i])
	}
	for i := range loads {
		give(&loads[i].DegradedLoad, degraded[i])
	}
	*first += left
}

// alarm marks the priorities that are in panic, and says how many are. None is
// while all of them together can take the whole load. With panic off and
// nothing available the first priority has the load in name only.
func alarm(loads []PriorityLoad, levels []level, total int, o *Options) (panics int) {
	if total == 0 && o.HealthyPanicThreshold == 0 {
		if len(loads) > 0 {
			loads[0].HealthyLoad = 100
		}
		return -1
	}
	for i := range loads {
		if total < 100 && levels[i].members.panics(o) {
			loads[i].Panic = true
			panics++
		}
	}
	return panics
}

// spreadByMembers is for when all priorities are in panic: load follows the
// number of members, whatever their health (Envoy:
// recalculateLoadInTotalPanic).
func spreadByMembers(loads []PriorityLoad, levels []level) {
	all := uint64(0)
	for i := range levels {
		all += levels[i].members.all
	}
	left := 100
	for i := range loads {
		n := int(100 * levels[i].members.all / all)
		loads[i].HealthyLoad, loads[i].DegradedLoad = n, 0
		left -= n
	}
	if len(loads) > 0 {
		loads[0].HealthyLoad += left
	}
}
