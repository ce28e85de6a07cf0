package cluster

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

type namedWeights struct {
	name    string
	weights []uint32
}

// Each loop picks, and all share one cursor: that is what RunParallel shows.
//
//	go test ./cluster -run '^$' -bench 'Pick$'
func BenchmarkPick(b *testing.B) {
	for _, policy := range config.LBPolicies() {
		for _, n := range []int{10, 5000} {
			for _, w := range []namedWeights{{"equal", slices.Repeat([]uint32{1}, n)}, {"random", random(n)}} {
				b.Run(fmt.Sprintf("%s/endpoints=%d/weights=%s", policy, n, w.name), func(b *testing.B) {
					c := with(b, func(cfg *config.Cluster) { cfg.LBPolicy, cfg.Endpoints = policy, endpoints(w.weights) })
					picks(b, c, netip.AddrPort{})
				})
			}
		}
	}
	b.Run("original_dst", func(b *testing.B) {
		picks(b, with(b, originalDst), netip.MustParseAddrPort("10.96.7.1:9080"))
	})
}

// picks lets connections pick once each, as all but those that retry do.
func picks(b *testing.B, c *Cluster, original netip.AddrPort) {
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		var tried Tried
		for p.Next() {
			tried = Tried{}
			if _, ok := pick(c, original, &tried); !ok {
				b.Error("nothing picked")
				return
			}
		}
	})
}

func random(n int) []uint32 {
	r := rand.New(rand.NewPCG(1, 2))
	weights := make([]uint32, n)
	for i := range weights {
		weights[i] = 1 + r.Uint32N(1000)
	}
	return weights
}

func endpoints(weights []uint32) []config.Endpoint {
	list := make([]config.Endpoint, len(weights))
	for i, w := range weights {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		list[i] = endpointOf(netip.AddrPortFrom(addr, 80), w)
	}
	return list
}

// One endpoint of 5,000 changes, and the loops see it: what a round of the keeper
// costs.
//
//	go test ./cluster -run '^$' -bench Update
func BenchmarkUpdate(b *testing.B) {
	for _, policy := range config.LBPolicies() {
		for _, localities := range []int{1, 5000} {
			b.Run(fmt.Sprintf("%s/localities=%d", policy, localities), func(b *testing.B) {
				c := with(b, func(cfg *config.Cluster) {
					cfg.LBPolicy, cfg.Endpoints = policy, endpoints(random(5000))
					for i := range cfg.Endpoints {
						cfg.Endpoints[i].Locality.Zone = fmt.Sprintf("us-west-2/zone-%d", i%localities)
					}
				})
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					c.mu.Lock()
					c.noteHealth(c.members[i%len(c.members)], failedActiveCheck, i/len(c.members)%2 == 0)
					c.mu.Unlock()
					c.renew(time.Now())
				}
			})
		}
	}
}
