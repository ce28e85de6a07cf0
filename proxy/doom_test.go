package proxy

import (
	"testing"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
)

// closesEjected makes a cluster that closes the connections of an ejected endpoint, with
// the second endpoint in the second priority.
func closesEjected(cfg *config.Cluster) {
	o := config.DefaultOutlierDetection()
	o.MaxEjectionPercent, o.Interval = 100, never
	cfg.OutlierDetection = &o
	cfg.OnEndpointUnhealthy = config.CloseConnections
	cfg.Endpoints[1].Priority = 1
}

// eject has the first endpoint of a chain ejected.
func eject(chain *Chain) {
	own := chain.routes[0].cluster
	choice, _ := own.Pick(&cluster.Query{Tried: new(cluster.Tried)})
	for range 5 {
		own.ConnectFailed(choice.Endpoint, cluster.Refused)
	}
}

// The connections of a condemned endpoint are reset, and no others.
func TestDoomResets(t *testing.T) {
	w := newWorkbench(t)
	chain := w.ownChain(closesEjected, echoServer(t), echoServer(t))
	w.keep(chain, cluster.KeeperOptions{Doomed: func() { w.loop.Do(w.worker.CloseDoomed) }})
	victim, elsewhere := w.connect(&Chains{fallback: chain}), w.connect(w.chains)
	w.echoes(victim, "before")
	w.echoes(elsewhere, "before")
	eject(chain)
	if _, err := victim.Read(make([]byte, 1)); !isReset(err) {
		t.Errorf("the client sees %v, want a reset", err)
	}
	if r := w.last(); r.CloseReason != accesslog.EndpointUnhealthy || r.ClosedBy != accesslog.ByProxy {
		t.Errorf("closed by %s, %s", r.ClosedBy, r.CloseReason)
	}
	w.echoes(elsewhere, "after")
	w.echoes(w.connect(&Chains{fallback: chain}), "by the second endpoint")
}

// A connection that is still being dialled goes on to the next endpoint, and what
// was given up is not held against the condemned one.
func TestDoomWhileConnecting(t *testing.T) {
	w := newWorkbench(t)
	chain := w.ownChain(closesEjected, silent(t), echoServer(t))
	w.keep(chain, cluster.KeeperOptions{Doomed: func() { w.loop.Do(w.worker.CloseDoomed) }})
	client := w.connect(&Chains{fallback: chain})
	w.waitConnecting()
	eject(chain)
	w.echoes(client, "by the second endpoint")
	own := chain.routes[0].cluster
	if e := own.Endpoints()[0]; e.ConnectFailures != 5 || e.ActiveConnections != 0 {
		t.Errorf("%+v, want the 5 failures of the test", e)
	}
	if own.Admitted() != 1 || own.Pending() != 0 {
		t.Errorf("%d admitted, %d pending; want 1 and 0", own.Admitted(), own.Pending())
	}
}
