package cluster

import (
	"net/netip"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/stats"
)

// adopting is a cluster of two endpoints with room for one connection.
func adopting(t *testing.T, kind config.ClusterType) *Cluster {
	t.Helper()
	cfg := config.DefaultCluster()
	cfg.Name, cfg.Type = "app", kind
	cfg.CircuitBreakers.MaxConnections, cfg.CircuitBreakers.MaxConnectionsPerEndpoint = 1, 1
	for _, a := range []string{"10.0.0.1:80", "10.0.0.2:80"} {
		if kind == config.ClusterStatic {
			endpoint := config.DefaultEndpoint()
			endpoint.Address = config.Address(netip.MustParseAddrPort(a))
			cfg.Endpoints = append(cfg.Endpoints, endpoint)
		}
	}
	c, err := New(&cfg, stats.Cluster{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Connections from elsewhere count for their endpoint if there is one, above any
// limit, and leave as they came.
func TestAdopt(t *testing.T) {
	for _, tc := range []struct {
		name    string
		kind    config.ClusterType
		address string
		active  int64 // of the second endpoint
	}{
		{"known", config.ClusterStatic, "10.0.0.2:80", 2},
		{"unknown", config.ClusterStatic, "10.0.0.3:80", 0},
		{"original destination", config.ClusterOriginalDst, "10.0.0.2:80", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := adopting(t, tc.kind)
			ep := c.Find(netip.MustParseAddrPort(tc.address))
			for range 2 {
				c.Adopt(ep)
			}
			second := func() (active int64, total uint64) {
				if list := c.Endpoints(); len(list) > 0 {
					return list[1].ActiveConnections, list[1].TotalConnections
				}
				return 0, 0
			}
			if active, total := second(); c.Admitted() != 2 || c.Pending() != 0 || active != tc.active || total != 0 {
				t.Errorf("%d connections, %d pending, %d of the endpoint, %d in total", c.Admitted(), c.Pending(), active, total)
			}
			if refusal := c.Admit(ep); refusal != ClusterFull {
				t.Errorf("one more: %q", refusal)
			}
			for range 2 {
				c.Release(ep, Established)
			}
			if active, _ := second(); c.Admitted() != 0 || active != 0 {
				t.Errorf("%d connections and %d of the endpoint are left", c.Admitted(), active)
			}
			if refusal := c.Admit(ep); refusal != Admitted {
				t.Errorf("after the last: %q", refusal)
			}
		})
	}
}
