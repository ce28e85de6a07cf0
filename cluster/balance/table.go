package balance

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sort"
)

// Table is what loops pick from. Any number of them may at once; only the
// turns of rotations change, which are atomic.
type Table struct {
	options    Options
	policy     policy
	hashes     bool
	loads      []PriorityLoad
	sets       []set      // by priority, then kind
	byPercent  [100]int32 // set that each percent of the load goes to
	order      []int32    // sets to step on to: healthy, then degraded, then in panic, each by priority
	localities []int32    // of the members given to Build
}

// What byPercent says where there is no set.
const (
	nowhere = -1 // the table is empty
	failing = -2 // FailTrafficOnPanic
)

// Query is what a pick depends on.
type Query struct {
	Hash   uint64 // decides for ring_hash and maglev, if Hashed; its low digits choose the priority
	Hashed bool
	Tried  *Tried // members not to give again; nil: none
}

// Choice is a member that was picked.
type Choice struct {
	ID       int32
	Index    int32 // in the list given to Build
	Priority uint32
	Panic    bool // its health did not matter (envoy_cluster_lb_healthy_panic)
}

// Pick chooses a member that is not tried, and adds it to q.Tried. The first
// pick of a connection follows the loads of the priorities; when all of that
// priority's members are tried, it goes on with the first priority that has an
// untried healthy member, then with degraded ones, then with those in panic.
// False means that nobody is left, or, with Choice.Panic, that the load of this
// connection falls on a priority that fails in panic.
func (t *Table) Pick(q *Query) (Choice, bool) {
	hash := q.Hash
	if !q.Hashed || !t.hashes {
		hash = rand.Uint64()
	}
	place := t.byPercent[hash%100]
	if place == failing {
		return Choice{Panic: true}, false
	}
	if place >= 0 {
		s := &t.sets[place]
		if at, ok := s.pick(&t.policy, hash, q.Tried); ok {
			return s.choose(at, q.Tried), true
		}
	}
	for _, next := range t.order {
		s := &t.sets[next]
		if next == place {
			continue
		}
		if at, ok := s.pick(&t.policy, hash, q.Tried); ok {
			return s.choose(at, q.Tried), true
		}
	}
	return Choice{}, false
}

func (s *set) choose(at int32, tried *Tried) Choice {
	chosen := s.seats[at]
	if tried != nil {
		tried.Add(chosen.id)
	}
	return Choice{ID: chosen.id, Index: chosen.index, Priority: s.priority, Panic: s.kind == everyone}
}

// route spreads percents over sets.
func (t *Table) route() {
	for k := healthyOnes; k <= everyone; k++ {
		for i := range t.sets {
			if t.sets[i].kind == k {
				t.order = append(t.order, int32(i))
			}
		}
	}
	percent := 0
	give := func(load PriorityLoad, k kind, n int) {
		if load.Panic {
			k = everyone
		}
		place := t.place(load, k)
		for range n {
			t.byPercent[percent] = place
			percent++
		}
	}
	for _, load := range t.loads {
		give(load, healthyOnes, load.HealthyLoad)
	}
	for _, load := range t.loads {
		give(load, degradedOnes, load.DegradedLoad)
	}
	for ; percent < len(t.byPercent); percent++ {
		t.byPercent[percent] = nowhere
	}
}

// place is where the load of a kind goes.
func (t *Table) place(load PriorityLoad, k kind) int32 {
	if i, ok := t.find(load.Priority, k); ok {
		return int32(i)
	}
	if load.Panic && t.options.FailTrafficOnPanic {
		return failing
	}
	if len(t.order) > 0 {
		return t.order[0]
	}
	return nowhere
}

// find is where the set of a kind stands, if there is one.
func (t *Table) find(priority uint32, k kind) (int, bool) {
	return sort.Find(len(t.sets), func(i int) int {
		return cmp.Or(cmp.Compare(priority, t.sets[i].priority), cmp.Compare(k, t.sets[i].kind))
	})
}

// Priorities tells the load of each priority that has members, lowest number
// first. The loads add up to 100; with panic off and nobody available they are
// in name only.
func (t *Table) Priorities() []PriorityLoad { return slices.Clone(t.loads) }

// Shares tells how many percent of first picks each member gets, in the order
// given to Build. For least_request it is at equal load, for ring_hash and
// maglev over all hashes. They add up to 100, or to less where
// FailTrafficOnPanic fails the rest, or nobody is there.
func (t *Table) Shares() []float64 {
	percents := make([]float64, len(t.sets))
	for _, place := range t.byPercent {
		if place >= 0 {
			percents[place]++
		}
	}
	shares := make([]float64, len(t.localities))
	for i := range t.sets {
		s := &t.sets[i]
		for at, share := range s.shares() {
			shares[s.seats[at].index] = percents[i] * share
		}
	}
	return shares
}
