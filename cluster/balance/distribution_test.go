package balance

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// spreads are weights to test with.
func spreads() []namedWeights {
	heavy := equal(5000)
	heavy[17] = 1 << 32 / 2
	return []namedWeights{
		{"one", equal(1)},
		{"ten", equal(10)},
		{"thousands", equal(5000)},
		{"nine to one", []uint32{9, 1}},
		{"few", []uint32{5, 1, 1, 3}},
		{"one to thousand", mixed(100)},
		{"thousands of one to thousand", mixed(5000)},
		{"light behind heavy", heavy},
		{"greatest", []uint32{1<<32 - 1, 1<<32 - 1, 1, 1 << 31}},
	}
}

// TestDistribution is that a million picks follow the shares that a table
// tells: within 1 % where turns decide, and within what chance allows (six
// standard deviations) where it does. Six picks are always allowed: a share may
// be less than one pick in a million.
func TestDistribution(t *testing.T) {
	const picks = 1e6
	for _, policy := range policies() {
		for _, w := range spreads() {
			t.Run(fmt.Sprintf("%s/%s", policy, w.name), func(t *testing.T) {
				o := optionsFor(policy)
				table := Build(membersOf(w.weights...), &o, nil)
				shares := table.Shares()
				for i, n := range tally(table, picks) {
					expected := shares[i] / 100 * picks
					allowed := 6 + 6*math.Sqrt(expected)
					if policy == config.RoundRobin || policy == config.LeastRequest {
						allowed = 6 + expected/100
					}
					if math.Abs(float64(n)-expected) > allowed {
						t.Errorf("member %d, weight %d: %d picks, want %.1f", i, w.weights[i], n, expected)
					}
				}
			})
		}
	}
}

// TestSharesAreWeights holds Shares to the weights. A hash table has a whole
// number of entries for each, and a ring parts that depend on chance.
func TestSharesAreWeights(t *testing.T) {
	for _, policy := range policies() {
		for _, w := range spreads() {
			t.Run(fmt.Sprintf("%s/%s", policy, w.name), func(t *testing.T) {
				o := optionsFor(policy)
				shares := Build(membersOf(w.weights...), &o, nil).Shares()
				sum, total := 0.0, 0.0
				for i, weight := range w.weights {
					sum += float64(weight)
					total += shares[i]
				}
				if math.Abs(total-100) > 1e-6 {
					t.Errorf("shares add up to %v", total)
				}
				for i, weight := range w.weights {
					want := float64(weight) / sum
					allowed := 1.0 / maxLength
					switch policy {
					case config.Maglev:
						allowed = (2 + float64(tooLight(w.weights, 65537))) / 65537
					case config.RingHash:
						ring := max(1024, pointsEach*len(w.weights))
						allowed = (6*math.Sqrt(want*float64(ring)) + 12 + float64(tooLight(w.weights, ring))) / float64(ring)
					}
					if math.Abs(shares[i]/100-want) > allowed+1e-9 || shares[i] <= 0 {
						t.Errorf("member %d, weight %d: share %v %%, want %v ± %v", i, weight, shares[i], 100*want, 100*allowed)
					}
				}
			})
		}
	}
}

// tooLight counts the weights that are worth less than one of size entries, of
// which each member has at least one.
func tooLight(weights []uint32, size int) int {
	sum := 0.0
	for _, w := range weights {
		sum += float64(w)
	}
	n := 0
	for _, w := range weights {
		if float64(w)*float64(size) < sum {
			n++
		}
	}
	return n
}

// TestRotationIsExact has all loops together give each member exactly its
// weight in each round.
func TestRotationIsExact(t *testing.T) {
	const rounds, loops = 3, 4
	for _, w := range spreads() {
		o := optionsFor(config.RoundRobin)
		table := Build(membersOf(w.weights...), &o, nil)
		length := int(table.sets[0].line.length)
		if length > 1e5 {
			continue // TestDistribution has those
		}
		t.Run(w.name, func(t *testing.T) {
			counts := make([][]int, loops)
			var all sync.WaitGroup
			for i := range counts {
				all.Go(func() { counts[i] = tally(table, rounds*length) })
			}
			all.Wait()
			for i := range w.weights {
				sum := 0
				for _, c := range counts {
					sum += c[i]
				}
				if want := rounds * loops * int(table.sets[0].line.part(int32(i))); sum != want {
					t.Errorf("member %d, weight %d: %d picks, want %d", i, w.weights[i], sum, want)
				}
			}
		})
	}
}

// TestNoBursts bounds, at any moment, how far anyone is ahead of or behind its
// share: five picks at most, whatever the weights. How far it comes depends on where
// the turns begin, at random: beyond four it is in one table of a thousand.
func TestNoBursts(t *testing.T) {
	for _, w := range spreads() {
		t.Run(w.name, func(t *testing.T) {
			o := optionsFor(config.RoundRobin)
			table := Build(membersOf(w.weights...), &o, nil)
			shares := table.Shares()
			counts := make([]int, len(w.weights))
			worst := 0.0
			for n := range 20000 {
				c, _ := table.Pick(&Query{})
				counts[c.Index]++
				worst = max(worst, math.Abs(float64(counts[c.Index])-shares[c.Index]/100*float64(n+1)))
			}
			if worst > 5 {
				t.Errorf("a member is %.1f picks off its share", worst)
			}
		})
	}
}

// TestRetryTakesOneTurn has what a retry skips keep its turn: however many
// members were tried, a pick takes one turn and no more.
func TestRetryTakesOneTurn(t *testing.T) {
	o := optionsFor(config.RoundRobin)
	table := Build(membersOf(5, 1, 1), &o, nil)
	turns := &table.sets[0].rotation.cursor.next
	var tried Tried
	before := turns.Load()
	for range 3 {
		table.Pick(&Query{Tried: &tried})
	}
	if took := turns.Load() - before; took != 3 {
		t.Errorf("three picks took %d turns", took)
	}
}

// TestHeavyRuns bounds how often in a row a member has its turn that has half of
// the weight, and the light ones between: twice.
func TestHeavyRuns(t *testing.T) {
	o := optionsFor(config.RoundRobin)
	table := Build(membersOf(append([]uint32{100}, equal(100)...)...), &o, nil)
	last, run := false, 0
	longest := map[bool]int{}
	for range 400 {
		c, _ := table.Pick(&Query{})
		if heavy := c.Index == 0; heavy != last {
			last, run = heavy, 0
		}
		run++
		longest[last] = max(longest[last], run)
	}
	if longest[true] > 2 || longest[false] > 2 {
		t.Errorf("%d turns of the heavy one in a row, %d of the light ones", longest[true], longest[false])
	}
}

func TestRotationInOrder(t *testing.T) {
	o := optionsFor(config.RoundRobin)
	for _, c := range []struct {
		name    string
		weights []uint32
		want    []int32
	}{
		{"equals in the order of the list", equal(4), []int32{0, 1, 2, 3, 0, 1, 2, 3}},
		{"one half and two quarters", []uint32{2, 1, 1}, []int32{0, 0, 1, 2, 0, 0, 1, 2}},
		{"nine to one", []uint32{9, 1}, []int32{0, 0, 0, 0, 0, 0, 0, 1, 0, 0}},
		{"three to two", []uint32{3, 2}, []int32{0, 1, 0, 1, 0, 0, 1, 0, 1, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := Build(membersOf(c.weights...), &o, nil)
			table.sets[0].rotation.base = 0
			var got []int32
			for range c.want {
				choice, _ := table.Pick(&Query{})
				got = append(got, choice.Index)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestTurnsGoOn rebuilds before each pick, with another member gone each time:
// nobody may gain by being first in the list.
func TestTurnsGoOn(t *testing.T) {
	for _, w := range []namedWeights{{"equal", equal(10)}, {"weighted", []uint32{9, 1, 5, 5, 7, 3, 3, 2, 8, 1}}} {
		t.Run(w.name, func(t *testing.T) {
			o := optionsFor(config.RoundRobin)
			members := membersOf(w.weights...)
			counts := make([]int, len(members))
			expected := make([]float64, len(members))
			var table *Table
			for i := range 20000 {
				gone := &members[i*7%len(members)]
				gone.Health = Unhealthy
				table = Build(members, &o, table)
				gone.Health = Healthy
				for j, share := range table.Shares() {
					expected[j] += share / 100
				}
				c, _ := table.Pick(&Query{})
				counts[c.Index]++
			}
			for i, n := range counts {
				if off := math.Abs(float64(n)/expected[i] - 1); off > 0.05 {
					t.Errorf("member %d: %d picks, want about %.0f", i, n, expected[i])
				}
			}
		})
	}
}

// TestSlowStart has a ramp work as a smaller weight.
func TestSlowStart(t *testing.T) {
	for _, policy := range policies() {
		t.Run(string(policy), func(t *testing.T) {
			o := optionsFor(policy)
			members := membersOf(100, 100, 100, 100)
			members[3].Ramp = 0.1
			shares := Build(members, &o, nil).Shares()
			want, allowed := 100*0.1/3.1, 0.1
			if policy == config.RingHash {
				allowed = 6 * 100 * math.Sqrt(want/100/1024)
			}
			if math.Abs(shares[3]-want) > allowed {
				t.Errorf("share %.2f %%, want %.2f", shares[3], want)
			}
			members[3].Ramp = 1
			full := Build(members, &o, nil).Shares()
			if policy != config.RingHash && math.Abs(full[3]-25) > 0.1 {
				t.Errorf("share %.2f %% at the end, want 25", full[3])
			}
		})
	}
}
