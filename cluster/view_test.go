package cluster

import (
	"net/netip"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/sluiceproxy/sluice/config"
)

// A long-lived connection holds on to its endpoint, not to the view that it was
// picked from: with thousands of endpoints that change often, each connection
// would keep megabytes.
func TestConnectionsDoNotKeepViews(t *testing.T) {
	for _, kind := range []config.ClusterType{config.ClusterStrictDNS, config.ClusterLogicalDNS} {
		t.Run(string(kind), func(t *testing.T) {
			spec := config.DefaultEndpoint()
			spec.Address = config.Host("app.example", 80)
			c := with(t, func(cfg *config.Cluster) { cfg.Type, cfg.Endpoints = kind, []config.Endpoint{spec} })
			list := c.literal()
			list[0].addresses = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:80")}
			c.setMembers(list, time.Now())
			old := weak.Make(&c.view.Load().seats[0])
			ep, ok := pick(c, netip.AddrPort{}, new(Tried))
			if want := kind == config.ClusterLogicalDNS; !ok || (ep.others != nil) != want {
				t.Fatalf("picked %+v", ep)
			}
			c.setMembers(list, time.Now())
			runtime.GC()
			if old.Value() != nil {
				t.Error("the endpoint of a connection keeps the view that it was picked from")
			}
			runtime.KeepAlive(ep)
		})
	}
}
