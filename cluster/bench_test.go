package cluster

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
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
	b.ResetTimer() // the table took longer to make than a short run lasts
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

// BenchmarkRefresh makes a view after the health of one of 5,000 endpoints has
// changed: what a change costs, off the loops.
//
//	go test ./cluster -run '^$' -bench 'Refresh|HealthChange' -benchmem
func BenchmarkRefresh(b *testing.B) {
	eachPolicy(b, func(b *testing.B, change func(*config.Cluster)) {
		c := with(b, change)
		b.ReportAllocs()
		used, i := cpuTime(b), 0
		for ; b.Loop(); i++ {
			c.mu.Lock()
			c.flip(i)
			c.refresh(time.Now())
			c.mu.Unlock()
		}
		b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/float64(i), "cpu-µs/op") // with the collector's
	})
}

// BenchmarkHealthChange is the time from a change of one of 5,000 endpoints'
// health, as a health check notes it, to the view that loops pick from, by a
// running keeper that has rested.
func BenchmarkHealthChange(b *testing.B) {
	eachPolicy(b, func(b *testing.B, change func(*config.Cluster)) {
		c := kept(b, KeeperOptions{}, change)
		eventually(b, "the keeper has made its first view", func() bool { return !c.noted.Load() })
		let(b, time.Second)
		var took []time.Duration
		for i := 0; b.Loop(); i++ {
			before, began := c.view.Load(), time.Now()
			c.mu.Lock()
			c.flip(i)
			c.mu.Unlock()
			for c.view.Load() == before {
				let(b, 50*time.Microsecond)
			}
			took = append(took, time.Since(began))
			let(b, (restShare+2)*took[len(took)-1])
		}
		slices.Sort(took)
		b.ReportMetric(0, "ns/op") // has the rest in it
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
		b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-max")
	})
}

// flip takes the health from one of 500 endpoints, or gives it back. It needs
// the lock.
func (c *Cluster) flip(i int) {
	m := c.members[i*7%500*10]
	c.noteHealth(m, failedActiveCheck, m.health()&failedActiveCheck == 0)
}

func eachPolicy(b *testing.B, run func(*testing.B, func(*config.Cluster))) {
	for _, policy := range config.LBPolicies() {
		b.Run(fmt.Sprintf("%s/endpoints=5000", policy), func(b *testing.B) {
			run(b, func(cfg *config.Cluster) { cfg.LBPolicy, cfg.Endpoints = policy, endpoints(random(5000)) })
		})
	}
}

// let lets time pass.
func let(b *testing.B, d time.Duration) {
	select {
	case <-b.Context().Done():
	case <-time.After(d):
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
