package balance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/config"
)

func policies() []config.LBPolicy {
	return []config.LBPolicy{config.RoundRobin, config.LeastRequest, config.Random, config.RingHash, config.Maglev}
}

// optionsFor are the defaults of a cluster with a policy.
func optionsFor(p config.LBPolicy) Options {
	c := config.DefaultCluster()
	c.LBPolicy = p
	return OptionsOf(&c)
}

// member is a healthy one, of priority 0 and in no locality.
func member(id int, weight uint32) Member {
	return Member{
		ID:       int32(id),
		Key:      fmt.Sprintf("10.4.%d.%d:9080", id/250, id%250+1),
		Weight:   weight,
		Locality: -1,
		Active:   new(atomic.Int64),
	}
}

// membersOf makes one for each weight; IDs count from 0.
func membersOf(weights ...uint32) []Member {
	list := make([]Member, len(weights))
	for i, w := range weights {
		list[i] = member(i, w)
	}
	return list
}

func equal(n int) []uint32 { return slices.Repeat([]uint32{1}, n) }

// mixed are weights of 1 to 1000.
func mixed(n int) []uint32 {
	r := rand.New(rand.NewPCG(1, 2))
	weights := make([]uint32, n)
	for i := range weights {
		weights[i] = 1 + r.Uint32N(1000)
	}
	return weights
}

// namedWeights are a column of a table.
type namedWeights struct {
	name    string
	weights []uint32
}

// tally counts first picks by place in the list of members. Hashes are counted
// through, scrambled, where the policy wants one.
func tally(t *Table, picks int) []int {
	counts := make([]int, len(t.localities))
	r := rand.New(rand.NewPCG(3, 4))
	for range picks {
		if c, ok := t.Pick(&Query{Hash: r.Uint64(), Hashed: true}); ok {
			counts[c.Index]++
		}
	}
	return counts
}
