package cluster

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// shares counts what n connections that never retry get.
func shares(c *Cluster, n int) map[netip.AddrPort]int {
	got := map[netip.AddrPort]int{}
	for range n {
		var tried Tried
		ep, ok := pick(c, netip.AddrPort{}, &tried)
		if ok {
			got[ep.Address]++
		}
	}
	return got
}

func TestPickByWeight(t *testing.T) {
	c := static(t, 1, 2, 7)
	got := shares(c, 1000)
	for _, e := range c.Endpoints() {
		if want := int(e.Weight) * 100; got[e.Address] != want {
			t.Errorf("%s has %d picks, want %d", e.Address, got[e.Address], want)
		}
	}
}

func TestPickWithoutEndpoints(t *testing.T) {
	var tried Tried
	if ep, ok := pick(static(t), netip.MustParseAddrPort("1.2.3.4:5"), &tried); ok {
		t.Errorf("picked %v", ep)
	}
}

// Each endpoint once, whatever the weights and however many there are.
func TestPickNeverTwice(t *testing.T) {
	for _, weights := range [][]uint32{{1}, {1, 1, 1}, {100000, 1, 1}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 9, 9, 9}} {
		c := static(t, weights...)
		var tried Tried
		for range 3 {
			seen := map[netip.AddrPort]bool{}
			for range weights {
				ep, ok := pick(c, netip.AddrPort{}, &tried)
				if !ok || seen[ep.Address] {
					t.Fatalf("weights %v: pick %v, %v after %v", weights, ep, ok, seen)
				}
				seen[ep.Address] = true
			}
			if ep, ok := pick(c, netip.AddrPort{}, &tried); ok || tried.Len() != len(weights) {
				t.Fatalf("weights %v: picked %v after all", weights, ep)
			}
			tried = Tried{}
		}
	}
}

func TestConcurrentPicksAreExact(t *testing.T) {
	const loops, rounds = 4, 500
	c := static(t, 3, 2, 1, 4)
	var mu sync.Mutex
	total := map[netip.AddrPort]int{}
	var wg sync.WaitGroup
	for range loops {
		wg.Go(func() {
			got := shares(c, rounds*10)
			mu.Lock()
			defer mu.Unlock()
			for addr, n := range got {
				total[addr] += n
			}
		})
	}
	wg.Wait()
	for _, e := range c.Endpoints() {
		if want := int(e.Weight) * loops * rounds; total[e.Address] != want {
			t.Errorf("%s has %d picks, want %d", e.Address, total[e.Address], want)
		}
	}
}

type originalCase struct {
	name     string
	override uint16
	original string
	want     string // "": none
}

func TestPickOriginalDestination(t *testing.T) {
	cases := []originalCase{
		{"itself", 0, "10.1.1.1:80", "10.1.1.1:80"},
		{"IPv6", 0, "[fd00::1]:80", "[fd00::1]:80"},
		{"mapped is IPv4", 0, "[::ffff:10.1.1.1]:80", "10.1.1.1:80"},
		{"port override", 15001, "10.1.1.1:80", "10.1.1.1:15001"},
		{"not known", 0, "", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := with(t, func(cfg *config.Cluster) {
				originalDst(cfg)
				cfg.UpstreamPortOverride = tc.override
			})
			original, _ := netip.ParseAddrPort(tc.original)
			var tried Tried
			ep, ok := pick(c, original, &tried)
			if want, _ := netip.ParseAddrPort(tc.want); ok != (tc.want != "") || ep.Address != want {
				t.Fatalf("picked %v, %v", ep, ok)
			}
			if again, ok := pick(c, original, &tried); ok {
				t.Errorf("picked %v a second time", again)
			}
			c.Admit(ep)
			c.ConnectFailed(ep, Refused)
			c.Release(ep, Dialling)
			if n := len(c.Endpoints()); n != 0 {
				t.Errorf("%d endpoints kept", n)
			}
		})
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	c := static(t, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	if n := testing.AllocsPerRun(100, func() {
		var tried Tried
		for range 8 {
			pick(c, netip.AddrPort{}, &tried)
		}
	}); n != 0 {
		t.Errorf("%v allocations for eight attempts, want 0", n)
	}
}
