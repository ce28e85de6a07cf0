package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// anyMembers are a random cluster: up to 40 members in up to 4 priorities.
func anyMembers(r *rand.Rand, localities int) []Member {
	members := make([]Member, r.IntN(41))
	for i := range members {
		m := member(i, r.Uint32N(12))
		m.Priority = r.Uint32N(4) * 5
		m.Health = Health(r.IntN(4))
		m.Locality = r.Int32N(int32(localities)+1) - 1
		m.LocalityWeight = uint32(m.Locality+1) * 3
		members[i] = m
	}
	return members
}

func anyOptions(r *rand.Rand) Options {
	list := policies()
	o := optionsFor(list[r.IntN(len(list))])
	o.HealthyPanicThreshold = []uint32{0, 30, 50, 100}[r.IntN(4)]
	o.OverprovisioningFactor = []uint32{100, 140, 200}[r.IntN(3)]
	o.LocalityWeighted = r.IntN(2) == 0
	o.FailTrafficOnPanic = r.IntN(4) == 0
	o.WeightedPriorityHealth = r.IntN(4) == 0
	o.Maglev.TableSize = 1009
	for i := range 3 {
		o.Localities = append(o.Localities, config.Locality{Zone: string(rune('a' + i))})
	}
	return o
}

// TestAnyTable holds random clusters to what is true of each: loads add up to
// 100, shares do unless nobody is there or panic fails picks, picks follow
// shares, and who is not available is picked in panic only.
func TestAnyTable(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 7))
		o := anyOptions(r)
		members := anyMembers(r, len(o.Localities))
		table := Build(members, &o, Build(anyMembers(r, 3), &o, nil))
		t.Run(fmt.Sprintf("%d %s", seed, o.Policy), func(t *testing.T) {
			checkLoads(t, table, members)
			checkPicks(t, table, members)
			checkRetries(t, table, members)
		})
	}
}

func checkLoads(t *testing.T, table *Table, members []Member) {
	t.Helper()
	load, usable := 0, false
	for _, p := range table.Priorities() {
		load += p.HealthyLoad + p.DegradedLoad
	}
	for i := range members {
		usable = usable || members[i].Weight > 0
	}
	if usable && load != 100 || !usable && load != 0 {
		t.Errorf("loads add up to %d: %+v", load, table.Priorities())
	}
	sum, localities := 0.0, 0.0
	for _, share := range table.Shares() {
		sum += share
	}
	for _, l := range table.Localities() {
		localities += l.Percent
	}
	if math.Abs(sum-localities) > 1e-9 {
		t.Errorf("shares add up to %v, those of localities to %v", sum, localities)
	}
	if len(table.order) > 0 && !table.options.FailTrafficOnPanic && math.Abs(sum-100) > 1e-6 {
		t.Errorf("shares add up to %v", sum)
	}
}

func checkPicks(t *testing.T, table *Table, members []Member) {
	t.Helper()
	const picks = 4000
	counts := make([]int, len(members))
	for range picks {
		c, ok := table.Pick(&Query{Hash: rand.Uint64(), Hashed: true})
		if !ok {
			continue
		}
		counts[c.Index]++
		if m := &members[c.Index]; m.ID != c.ID || m.Priority != c.Priority || m.Weight == 0 || m.Health > Degraded && !c.Panic {
			t.Fatalf("%+v picks %+v", c, m)
		}
	}
	for i, share := range table.Shares() {
		expected := share / 100 * picks
		if allowed := 6*math.Sqrt(expected) + 8; math.Abs(float64(counts[i])-expected) > allowed || share == 0 && counts[i] > 0 {
			t.Errorf("member %d: %d picks, want %.1f", i, counts[i], expected)
		}
	}
}

// checkRetries tries until nobody is left: each usable member once, and beyond
// the first priority in the order of how usable they are.
func checkRetries(t *testing.T, table *Table, members []Member) {
	t.Helper()
	var tried Tried
	var ranks []int
	seen := make(map[int32]bool)
	for {
		c, ok := table.Pick(&Query{Tried: &tried})
		if !ok {
			if c.Panic {
				return // failed, by FailTrafficOnPanic
			}
			break
		}
		if seen[c.Index] || !tried.Has(c.ID) {
			t.Fatalf("%+v after %v", c, seen)
		}
		seen[c.Index] = true
		rank := int(members[c.Index].Health)*100 + int(c.Priority)
		if c.Panic {
			rank = 1000 + int(c.Priority)
		}
		ranks = append(ranks, rank)
	}
	seats := 0
	for i := range table.sets {
		seats += len(table.sets[i].seats)
	}
	if len(seen) != seats || tried.Len() != seats {
		t.Fatalf("%d picked, %d remembered, of %d", len(seen), tried.Len(), seats)
	}
	if len(table.sets) == 1 && !slices.IsSorted(ranks) {
		t.Errorf("order %v", ranks)
	}
}

// TestNextPriority exhausts a cluster whose load is all on priority 0.
func TestNextPriority(t *testing.T) {
	var all crew
	all.join(0, Healthy, equal(8)...)
	all.join(0, Unhealthy, 1)
	all.join(0, Degraded, 1)
	all.join(3, Healthy, 1)
	all.join(7, Healthy, 1)
	all.join(7, Degraded, 1)
	all.join(9, Unhealthy, 1)
	for _, policy := range policies() {
		t.Run(string(policy), func(t *testing.T) {
			o := optionsFor(policy)
			table := Build(all.members, &o, nil)
			var tried Tried
			var got []int32
			for c, ok := table.Pick(&Query{Tried: &tried}); ok; c, ok = table.Pick(&Query{Tried: &tried}) {
				got = append(got, c.Index)
			}
			if len(got) == 12 {
				slices.Sort(got[:8])
			}
			if want := []int32{0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 9, 12}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// TestSecondChoiceIsStable has the same hash give the same members in the same
// order.
func TestSecondChoiceIsStable(t *testing.T) {
	for _, policy := range []config.LBPolicy{config.RingHash, config.Maglev} {
		t.Run(string(policy), func(t *testing.T) {
			o := optionsFor(policy)
			table := Build(membersOf(mixed(20)...), &o, nil)
			for hash := range uint64(200) {
				var first []int32
				for range 3 {
					var tried Tried
					var got []int32
					for c, ok := table.Pick(&Query{hash << 55, true, &tried}); ok; c, ok = table.Pick(&Query{hash << 55, true, &tried}) {
						got = append(got, c.ID)
					}
					if first == nil {
						first = got
					}
					if len(got) != 20 || !slices.Equal(got, first) {
						t.Fatalf("%v, then %v", first, got)
					}
				}
			}
		})
	}
}

// TestUnhashed is a hash policy without a hash: random.
func TestUnhashed(t *testing.T) {
	for _, policy := range []config.LBPolicy{config.RingHash, config.Maglev} {
		o := optionsFor(policy)
		table := Build(membersOf(equal(5)...), &o, nil)
		seen := make(map[int32]bool)
		for range 500 {
			c, _ := table.Pick(&Query{Hash: 1})
			seen[c.ID] = true
		}
		if len(seen) != 5 {
			t.Errorf("%s: %d of 5 members seen", policy, len(seen))
		}
	}
}

// TestBadInput is what must neither panic nor take long.
func TestBadInput(t *testing.T) {
	strange := membersOf(1, 1, 1, 1, 0)
	strange[0].Ramp, strange[1].Ramp, strange[2].Ramp = math.NaN(), math.Inf(1), -1
	strange[3].Locality, strange[3].Active = 99, nil
	twins := membersOf(1, 2, 3)
	twins[1].Key, twins[2].Key = twins[0].Key, twins[0].Key
	spread := membersOf(equal(2000)...)
	different := membersOf(equal(5000)...)
	for i := range spread {
		spread[i].Priority = uint32(i * 1e6)
	}
	for i := range different {
		different[i].Weight = uint32(i + 1)
	}
	down := membersOf(equal(3)...)
	for i := range down {
		down[i].Health = Unhealthy
	}
	for _, c := range []struct {
		name      string
		members   []Member
		threshold uint32
		usable    int
	}{
		{"nobody", nil, 50, 0},
		{"no weight", membersOf(0, 0), 50, 0},
		{"one", membersOf(1), 50, 1},
		{"all down", down, 50, 3},
		{"all down without panic", down, 0, 0},
		{"threshold of 1000 %", down, 1000, 3},
		{"strange values", strange, 50, 4},
		{"same key", twins, 50, 3},
		{"thousands of priorities", spread, 50, 2000},
		{"thousands of weights", different, 50, 5000},
	} {
		for _, policy := range policies() {
			t.Run(c.name+"/"+string(policy), func(t *testing.T) {
				o := optionsFor(policy)
				o.HealthyPanicThreshold, o.Maglev.TableSize, o.LocalityWeighted = c.threshold, 65536, true
				o.LeastRequest = config.LeastRequestPolicy{ChoiceCount: math.MaxUint32, ActiveRequestBias: math.NaN()}
				table := Build(c.members, &o, Build(nil, &o, nil))
				var tried Tried
				usable := 0
				for _, ok := table.Pick(&Query{Tried: &tried}); ok && usable < 50; _, ok = table.Pick(&Query{Tried: &tried}) {
					usable++
				}
				if usable != min(c.usable, 50) {
					t.Errorf("%d picked, want %d", usable, c.usable)
				}
				table.Shares()
				table.Localities()
			})
		}
	}
}

// TestPickAllocates nothing, retries included.
func TestPickAllocates(t *testing.T) {
	for _, policy := range policies() {
		o := optionsFor(policy)
		table := Build(membersOf(mixed(5000)...), &o, nil)
		n := testing.AllocsPerRun(1000, func() {
			var tried Tried
			q := Query{Hash: 12345, Hashed: true, Tried: &tried}
			for range 8 {
				table.Pick(&q)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", policy, n)
		}
	}
}

func TestTried(t *testing.T) {
	var tried Tried
	for id := range int32(20) {
		if tried.Has(id) || tried.Len() != int(id) {
			t.Fatalf("%d: has %v, len %d", id, tried.Has(id), tried.Len())
		}
		tried.Add(id)
		if !tried.Has(id) {
			t.Fatalf("%d is forgotten", id)
		}
	}
}

// TestBuildWhilePicking is for the race detector: loops pick from a table
// while others are made from it.
func TestBuildWhilePicking(t *testing.T) {
	for _, policy := range policies() {
		t.Run(string(policy), func(t *testing.T) {
			o := optionsFor(policy)
			o.Maglev.TableSize = 1009
			members := membersOf(mixed(50)...)
			var current atomic.Pointer[Table]
			current.Store(Build(members, &o, nil))
			var loops sync.WaitGroup
			for range 2 {
				loops.Go(func() {
					for range 5000 {
						if _, ok := current.Load().Pick(&Query{Hash: rand.Uint64(), Hashed: true}); !ok {
							t.Error("nothing picked")
							return
						}
					}
				})
			}
			for i := range 200 {
				members[i%len(members)].Health ^= Unhealthy
				current.Store(Build(members, &o, current.Load()))
			}
			loops.Wait()
		})
	}
}
