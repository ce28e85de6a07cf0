package balance

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// closing is a connection that ends.
type closing struct {
	at     float64
	member int32
}

// closings are in order of time (container/heap).
type closings []closing

func (c closings) Len() int           { return len(c) }
func (c closings) Less(i, j int) bool { return c[i].at < c[j].at }
func (c closings) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *closings) Push(x any)        { *c = append(*c, x.(closing)) }
func (c *closings) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// service is a member of a simulated cluster.
type service struct {
	weight uint32
	time   float64 // mean life of a connection
}

// simulate opens connections at random times, one per unit of time on average,
// and tells the percentage of them that each member got, and how many it had
// open on average.
func simulate(o *Options, list []service) (shares, open []float64) {
	const connections = 200_000
	members := make([]Member, len(list))
	for i, s := range list {
		members[i] = member(i, s.weight)
	}
	table := Build(members, o, nil)
	r := rand.New(rand.NewPCG(5, 6))
	shares, open = make([]float64, len(list)), make([]float64, len(list))
	var live closings
	now := 0.0
	for range connections {
		now += r.ExpFloat64()
		for len(live) > 0 && live[0].at <= now {
			members[heap.Pop(&live).(closing).member].Active.Add(-1)
		}
		c, _ := table.Pick(&Query{})
		members[c.Index].Active.Add(1)
		shares[c.Index] += 100.0 / connections
		for i := range members {
			open[i] += float64(members[i].Active.Load()) / connections
		}
		heap.Push(&live, closing{now + r.ExpFloat64()*list[c.Index].time, c.Index})
	}
	return shares, open
}

// TestLeastRequestUnderLoad is what least_request is for: load follows weights
// while all are as fast, and slow endpoints get less.
func TestLeastRequestUnderLoad(t *testing.T) {
	equals := []service{{1, 200}, {1, 200}, {1, 200}, {1, 200}}
	weighted := []service{{1, 400}, {2, 400}, {4, 400}, {8, 400}}
	slow := []service{{1, 200}, {1, 200}, {1, 200}, {1, 800}}
	heavySlow := []service{{1, 200}, {3, 800}}
	for _, c := range []struct {
		name     string
		list     []service
		choices  uint32
		bias     float64
		want     []float64 // percent of connections
		allowed  float64
		openWant []float64 // connections open, relative to the first; nil: not looked at
	}{
		{"equals", equals, 2, 1, []float64{25, 25, 25, 25}, 1, []float64{1, 1, 1, 1}},
		{"weights", weighted, 2, 1, []float64{6.67, 13.33, 26.67, 53.33}, 1, []float64{1, 2, 4, 8}},
		{"weights, five choices", weighted, 5, 1, []float64{6.67, 13.33, 26.67, 53.33}, 1, []float64{1, 2, 4, 8}},
		{"slow", slow, 2, 1, []float64{30, 30, 30, 10}, 3, nil},
		{"slow, five choices", slow, 5, 1, []float64{30.77, 30.77, 30.77, 7.69}, 1, []float64{1, 1, 1, 1}},
		{"slow, weights only", slow, 2, 0, []float64{25, 25, 25, 25}, 0.1, nil},
		{"slow, half of the picks compare", slow, 2, 0.5, []float64{28, 28, 28, 16}, 2.5, nil},
		{"heavy and slow", heavySlow, 5, 1, []float64{57.14, 42.86}, 2, []float64{1, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := optionsFor(config.LeastRequest)
			o.LeastRequest = config.LeastRequestPolicy{ChoiceCount: c.choices, ActiveRequestBias: c.bias}
			shares, open := simulate(&o, c.list)
			t.Log(fmt.Sprintf("%.2f %% of connections, %.1f open", shares, open))
			for i := range c.want {
				if math.Abs(shares[i]-c.want[i]) > c.allowed {
					t.Errorf("member %d gets %.2f %%, want %.2f ± %v", i, shares[i], c.want[i], c.allowed)
				}
				if c.openWant != nil && math.Abs(open[i]/open[0]/c.openWant[i]-1) > 0.1 {
					t.Errorf("member %d has %.2f times the connections of the first, want %v", i, open[i]/open[0], c.openWant[i])
				}
			}
		})
	}
}
