package balance

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"strings"
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

// TestPageOfLeastRequest is what least_request is for: load follows weights
// while all are as fast, and slow endpoints get less.
func TestPageOfLeastRequest(t *testing.T) {
	for _, row := range pageTable(t, "| weights | mean life | choice_count | active_request_bias | % of connections |") {
		t.Run(strings.Join(row[:4], " | "), func(t *testing.T) {
			weights, times := numbers(t, row[0]), numbers(t, row[1])
			list := make([]service, len(weights))
			for i := range list {
				list[i] = service{uint32(weights[i]), times[i]}
			}
			o := optionsFor(config.LeastRequest)
			o.LeastRequest.ChoiceCount = uint32(numbers(t, row[2])[0])
			o.LeastRequest.ActiveRequestBias = numbers(t, row[3])[0]
			shares, open := simulate(&o, list)
			t.Logf("%.2f %% of connections, %.1f open", shares, open)
			for i, want := range numbers(t, row[4]) {
				if math.Abs(shares[i]-want) > 1 {
					t.Errorf("member %d gets %.2f %%, the page says %v", i, shares[i], want)
				}
			}
		})
	}
}

// TestLeastRequestEvens out open connections by weight, also when the heavier
// is the slower.
func TestLeastRequestEvens(t *testing.T) {
	for _, list := range [][]service{
		{{1, 200}, {1, 200}, {1, 800}},
		{{1, 400}, {2, 400}, {4, 400}, {8, 400}},
		{{1, 200}, {3, 800}},
	} {
		o := optionsFor(config.LeastRequest)
		o.LeastRequest.ChoiceCount = 4
		_, open := simulate(&o, list)
		for i, s := range list {
			if off := open[i] / open[0] / float64(s.weight); math.Abs(off-1) > 0.1 {
				t.Errorf("%v: %.1f open", list, open)
			}
		}
	}
}
