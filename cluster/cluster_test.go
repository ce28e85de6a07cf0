package cluster

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

func TestMain(m *testing.M) { testnet.Main(m) }

// with makes a cluster of the default configuration, changed.
func with(t testing.TB, change func(*config.Cluster)) *Cluster {
	t.Helper()
	cfg := config.DefaultCluster()
	cfg.Name = "test"
	change(&cfg)
	c, err := New(&cfg, stats.Cluster{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func endpointOf(a netip.AddrPort, weight uint32) config.Endpoint {
	e := config.DefaultEndpoint()
	e.Address, e.Weight = config.Address(a), weight
	return e
}

// pick is Pick without a client.
func pick(c *Cluster, original netip.AddrPort, tried *Tried) (Endpoint, bool) {
	choice, ok := c.Pick(&Query{Original: original, Tried: tried})
	return choice.Endpoint, ok
}

// static makes a cluster of endpoints 10.0.x.y:80 with these weights.
func static(t testing.TB, weights ...uint32) *Cluster {
	t.Helper()
	return with(t, func(cfg *config.Cluster) {
		for i, w := range weights {
			addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			cfg.Endpoints = append(cfg.Endpoints, endpointOf(netip.AddrPortFrom(addr, 80), w))
		}
	})
}

func originalDst(cfg *config.Cluster) { cfg.Type = config.ClusterOriginalDst }

func TestNewRefuses(t *testing.T) {
	cfg := config.DefaultCluster()
	cfg.Name, cfg.Type = "a", "eds"
	if _, err := New(&cfg, stats.Cluster{}); !errors.Is(err, ErrType) || !strings.Contains(err.Error(), `"eds"`) {
		t.Errorf("type eds: %v", err)
	}
}

func TestAdmitIsExact(t *testing.T) {
	const limit, loops, each = 7, 4, 20000
	c := static(t, 1)
	c.maxConnections = limit
	ep, _ := pick(c, netip.AddrPort{}, new(Tried))
	var open, refused, tooMany atomic.Int64
	var wg sync.WaitGroup
	for range loops {
		wg.Go(func() {
			for range each {
				if c.Admit(ep) != Admitted {
					refused.Add(1)
					continue
				}
				if open.Add(1) > limit {
					tooMany.Add(1)
				}
				open.Add(-1)
				c.Release(ep, Dialling)
			}
		})
	}
	wg.Wait()
	if tooMany.Load() > 0 || refused.Load() > 0 {
		// Fewer loops than places: nobody may ever be refused.
		t.Errorf("%d times too many, %d refused with a place free", tooMany.Load(), refused.Load())
	}
	for i := range limit {
		if c.Admit(ep) != Admitted {
			t.Fatalf("place %d refused", i)
		}
	}
	if c.Admit(ep) == Admitted {
		t.Errorf("place %d admitted", limit+1)
	}
	c.Release(ep, Dialling)
	if c.Admit(ep) != Admitted || c.Admitted() != limit {
		t.Errorf("a place that was given back is not free; %d taken", c.Admitted())
	}
}

func TestEndpointCounts(t *testing.T) {
	c := static(t, 1, 1)
	var tried Tried
	a, _ := pick(c, netip.AddrPort{}, &tried)
	b, _ := pick(c, netip.AddrPort{}, &tried)
	c.Admit(a)
	c.ConnectFailed(a, Refused)
	c.Release(a, Dialling)
	c.Admit(b)
	for _, got := range c.Endpoints() {
		want := EndpointInfo{Address: a.Address, Weight: 1, TotalConnections: 1, ConnectFailures: 1, SuccessRate: -1}
		if got.Address == b.Address {
			want = EndpointInfo{Address: b.Address, Weight: 1, TotalConnections: 1, ActiveConnections: 1, SuccessRate: -1}
		}
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	s, err := NewSplit([]config.WeightedCluster{{Name: "a", Weight: 90}, {Name: "b", Weight: 10}})
	if err != nil {
		t.Fatal(err)
	}
	var got [2]int
	for range 1000 {
		got[s.Pick()]++
	}
	if got != [2]int{900, 100} {
		t.Errorf("shares %v, want 900 and 100", got)
	}
	if _, err := NewSplit(nil); err == nil {
		t.Error("a split of nothing was made")
	}
}
