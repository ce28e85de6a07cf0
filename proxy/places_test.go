package proxy

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// ownChain is a copy of the workbench's chain that leads to a cluster of its own,
// changed.
func (w *workbench) ownChain(change func(*config.Cluster), endpoints ...netip.AddrPort) *Chain {
	w.t.Helper()
	cfg := config.DefaultCluster()
	cfg.Name, cfg.Type = "own", config.ClusterStatic
	for _, a := range endpoints {
		e := config.DefaultEndpoint()
		e.Address = config.Address(a)
		cfg.Endpoints = append(cfg.Endpoints, e)
	}
	change(&cfg)
	chain := *w.chains.fallback
	chain.routes = append([]route(nil), chain.routes...)
	made, err := cluster.New(&cfg, chain.routes[0].cluster.Stats)
	must(w.t, err)
	chain.routes[0].cluster = made
	return &chain
}

// silent is an address that a connection waits for until the test ends.
func silent(t *testing.T) netip.AddrPort {
	t.Helper()
	address := testnet.ClosedPort(t)
	mute(t, address)
	return address
}

// waitConnecting waits until the only connection is being connected.
func (w *workbench) waitConnecting() {
	w.t.Helper()
	w.eventually("the upstream is being connected", func() (reached bool) {
		w.loop.Do(func() { reached = w.worker.live != nil && w.worker.live.state == connecting })
		return reached
	})
}

type placesCase struct {
	name     string
	timeout  time.Duration
	endpoint func(*workbench) netip.AddrPort
	spoil    func(*workbench, *Chain)
	end      func(*workbench, net.Conn)
}

// However a connection ends, it gives back exactly what it took under the
// circuit breakers.
func TestPlacesAreGivenBackOnce(t *testing.T) {
	echo := func(w *workbench) netip.AddrPort { return w.chains.fallback.routes[0].cluster.Endpoints()[0].Address }
	closedOne := func(w *workbench) netip.AddrPort { return testnet.ClosedPort(w.t) }
	silentOne := func(w *workbench) netip.AddrPort { return silent(w.t) }
	const long = time.Minute
	fine := func(*workbench, *Chain) {}
	waits := func(*workbench, net.Conn) {}
	for _, tc := range []placesCase{
		{"relayed", long, echo, fine, func(w *workbench, client net.Conn) { w.echoes(client, "hello"); client.Close() }},
		{"refused", long, closedOne, fine, waits},
		{"unreachable", long, func(*workbench) netip.AddrPort { return netip.MustParseAddrPort("255.255.255.255:9") }, fine, waits},
		{"not in time", 50 * time.Millisecond, silentOne, fine, waits},
		{"the client leaves", long, silentOne, fine, func(w *workbench, client net.Conn) {
			w.waitConnecting()
			must(w.t, client.(*net.TCPConn).SetLinger(0))
			client.Close()
		}},
		{"all are reset", long, silentOne, fine, func(w *workbench, _ net.Conn) {
			w.waitConnecting()
			w.loop.Do(w.worker.ResetAll)
		}},
		{"panic before dialling", long, echo, func(w *workbench, _ *Chain) {
			guard := w.worker.around.Guard
			w.loop.Do(func() { w.worker.around.Guard = nil })
			w.t.Cleanup(func() { w.loop.Do(func() { w.worker.around.Guard = guard }) })
		}, waits},
		{"panic when connected", long, echo, func(_ *workbench, c *Chain) { c.routes[0].meters = nil }, waits},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorkbench(t)
			chain := w.ownChain(func(cfg *config.Cluster) { cfg.ConnectTimeout = tc.timeout }, tc.endpoint(w))
			tc.spoil(w, chain)
			client := w.connect(&Chains{fallback: chain})
			tc.end(w, client)
			w.eventually("the connection is over", func() bool { return w.live() == 0 })
			client.Close()
			own := chain.routes[0].cluster
			if e := own.Endpoints()[0]; own.Admitted() != 0 || own.Pending() != 0 || e.ActiveConnections != 0 || e.TotalConnections != 1 {
				t.Errorf("%d admitted, %d pending, endpoint %+v; want none, after one", own.Admitted(), own.Pending(), e)
			}
		})
	}
}

// fill takes all places at the endpoints of a cluster that has one for each, but
// for those at an address to spare.
func (w *workbench) fill(chain *Chain, spare netip.AddrPort) {
	w.t.Helper()
	own := chain.routes[0].cluster
	tried := new(cluster.Tried)
	for choice, ok := own.Pick(&cluster.Query{Tried: tried}); ok; choice, ok = own.Pick(&cluster.Query{Tried: tried}) {
		if choice.Endpoint.Address != spare && own.Admit(choice.Endpoint) != cluster.Admitted {
			w.t.Fatal("no place")
		}
	}
}

func onePerEndpoint(cfg *config.Cluster) { cfg.CircuitBreakers.MaxConnectionsPerEndpoint = 1 }

// A connection that finds endpoints full does not ask thousands of them: where one of
// twice as many as it asks has room, about half of all connections find it.
func TestManyFullEndpoints(t *testing.T) {
	w := newWorkbench(t)
	var endpoints []netip.AddrPort
	for i := range 2*mostAsked - 1 {
		endpoints = append(endpoints, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 9))
	}
	unreachable := netip.MustParseAddrPort("255.255.255.255:9") // connect fails at once
	chain := w.ownChain(func(cfg *config.Cluster) {
		onePerEndpoint(cfg)
		cfg.LBPolicy = config.Random
	}, append(endpoints, unreachable)...)
	w.fill(chain, unreachable)
	seen := make(map[accesslog.Flags]int)
	for range 40 {
		client := w.connect(&Chains{fallback: chain})
		if _, err := client.Read(make([]byte, 1)); !isReset(err) {
			t.Errorf("the client sees %v, want a reset", err)
		}
		seen[w.last().Flags]++
	}
	if found, full := seen[accesslog.UpstreamConnectionFailure], seen[accesslog.UpstreamOverflow]; found == 0 || full == 0 || found+full != 40 {
		t.Errorf("of 40 connections %d found the endpoint, and %d others; want some of either: %v", found, full, seen)
	}
}

// Where one endpoint is full and the other fails, the failure is the reason, in
// whichever order they were asked.
func TestFullAndFailing(t *testing.T) {
	w := newWorkbench(t)
	unreachable := netip.MustParseAddrPort("255.255.255.255:9") // connect fails at once
	chain := w.ownChain(onePerEndpoint, testnet.ClosedPort(t), unreachable)
	w.fill(chain, unreachable)
	for range 2 {
		client := w.connect(&Chains{fallback: chain})
		if _, err := client.Read(make([]byte, 1)); !isReset(err) {
			t.Errorf("the client sees %v, want a reset", err)
		}
		if r := w.last(); r.Flags != accesslog.UpstreamConnectionFailure || r.TerminationDetails != "" {
			t.Errorf("flags %s, details %q; want UF", r.Flags, r.TerminationDetails)
		}
	}
}
