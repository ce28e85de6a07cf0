package proxy

import (
	"net/netip"
	"testing"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// A connection whose summing up panics is over all the same; left among the live
// ones, it would keep ResetAll, and so the end of a drain, busy for ever.
func TestPanicAtTheEnd(t *testing.T) {
	w := newWorkbench(t)
	victim := w.connect(w.chains)
	w.echoes(victim, "hello")
	counter := w.ln.Stats.CxDestroy
	w.loop.Do(func() { w.ln.Stats.CxDestroy = 1 << 30 })
	victim.Close()
	w.eventually("the panic is counted", func() bool { return w.panics() == 1 })
	w.loop.Do(func() { w.ln.Stats.CxDestroy = counter })
	if n := w.live(); n != 0 {
		t.Errorf("%d connections live, want none", n)
	}
	w.echoes(w.connect(w.chains), "after")
}

// An attempt that fails before it has an address must not tell that of the
// attempt before it.
func TestFailedAttemptHasNoAddress(t *testing.T) {
	w := newWorkbench(t)
	unreachable := netip.MustParseAddrPort("255.255.255.255:9") // connect fails at once
	cfg := config.DefaultCluster()
	cfg.Name, cfg.Type = "dead", config.ClusterStatic
	cfg.Endpoints = []config.Endpoint{
		{Address: config.Address(testnet.ClosedPort(t)), Weight: 1}, {Address: config.Address(unreachable), Weight: 1}, {Address: config.Address(testnet.ClosedPort(t)), Weight: 1},
	}
	chain := *w.chains.fallback
	chain.attempts = 2
	chain.routes = append([]route(nil), chain.routes...)
	var err error
	chain.routes[0].cluster, err = cluster.New(&cfg, chain.routes[0].cluster.Stats)
	must(t, err)
	seen := 0
	for range cfg.Endpoints { // each connection begins two endpoints further on
		client := w.connect(&Chains{fallback: &chain})
		if _, err := client.Read(make([]byte, 1)); !isReset(err) {
			t.Errorf("the client sees %v, want a reset", err)
		}
		w.eventually("the connection is over", func() bool { return w.live() == 0 })
		r := w.last()
		if r.UpstreamHost != unreachable {
			continue
		}
		seen++
		if r.ConnectAttempts != 2 || r.UpstreamLocal.IsValid() {
			t.Errorf("attempt %d, to %s, came from %s; want the second, from nowhere", r.ConnectAttempts, r.UpstreamHost, r.UpstreamLocal)
		}
	}
	if seen != 1 {
		t.Errorf("%d connections ended with the unreachable endpoint, want 1", seen)
	}
}
