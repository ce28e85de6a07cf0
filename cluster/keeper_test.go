package cluster

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/healthcheck"
	"github.com/sluiceproxy/sluice/outlier"
)

// kept makes a cluster that a running keeper keeps until the test ends.
func kept(t testing.TB, o KeeperOptions, change func(*config.Cluster)) *Cluster {
	t.Helper()
	c := with(t, change)
	if len(c.cfg.HealthChecks) > 0 {
		checker, err := healthcheck.New(healthcheck.Options{})
		if err != nil {
			t.Fatal(err)
		}
		checker.Start()
		t.Cleanup(checker.Close)
		o.Checker = checker
	}
	keeper := NewKeeper(o)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	if err := keeper.Keep(ctx, c, &running); err != nil {
		t.Fatal(err)
	}
	running.Go(func() { keeper.Run(ctx) })
	return c
}

// eventually waits for something that another goroutine does.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func twoEndpoints(cfg *config.Cluster) {
	cfg.Endpoints = []config.Endpoint{
		endpointOf(netip.MustParseAddrPort("10.0.0.1:80"), 1), endpointOf(netip.MustParseAddrPort("10.0.0.2:80"), 1),
	}
}

// flags are the health flags of an endpoint in /clusters.
func flags(c *Cluster, address string) string {
	for _, e := range c.Endpoints() {
		if e.Address.String() == address {
			return e.HealthFlags
		}
	}
	return "not there"
}

// An endpoint that fails is ejected, gets no connection, and comes back.
func TestEjection(t *testing.T) {
	c := kept(t, KeeperOptions{}, func(cfg *config.Cluster) {
		twoEndpoints(cfg)
		o := config.DefaultOutlierDetection()
		o.Interval, o.BaseEjectionTime, o.MaxEjectionPercent = 10*time.Millisecond, 30*time.Millisecond, 50
		cfg.OutlierDetection = &o
	})
	bad := c.Endpoints()[0].Address
	for failures := 0; failures < 5; {
		ep, _ := pick(c, netip.AddrPort{}, new(Tried))
		if ep.Address == bad {
			c.ConnectFailed(ep, Refused)
			failures++
		}
	}
	eventually(t, "the endpoint is ejected", func() bool {
		counts, _ := c.Ejections()
		return counts.EnforcedTotal == 1
	})
	eventually(t, "the endpoint is back", func() bool {
		counts, _ := c.Ejections()
		return counts.Active == 0 && flags(c, bad.String()) == "" && shares(c, 100)[bad] == 50
	})
}

// What this host lacks is never held against an endpoint.
func TestOwnFaultsAreNotReported(t *testing.T) {
	for _, err := range []error{ErrSourcePorts, ErrSourceFamily, ErrGone} {
		if !HostFault(errors.Join(err)) {
			t.Errorf("%v is blamed on the endpoint", err)
		}
	}
}

func tcpCheck(cfg *config.Cluster) {
	check := config.DefaultHealthCheck()
	check.Type, check.Interval, check.NoTrafficInterval = config.HealthCheckTCP, 10*time.Millisecond, 10*time.Millisecond
	check.HealthyThreshold, check.UnhealthyThreshold = 1, 1
	cfg.HealthChecks = []config.HealthCheck{check}
}

// Checks decide who gets connections, and what becomes of the open ones.
func TestChecksDecide(t *testing.T) {
	alive, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	dying, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var ep Endpoint
	dooms := make(chan Doom, 1)
	c := kept(t, KeeperOptions{Doomed: func() { dooms <- ep.Doom() }}, func(cfg *config.Cluster) {
		for _, l := range []net.Listener{alive, dying} {
			cfg.Endpoints = append(cfg.Endpoints, endpointOf(l.Addr().(*net.TCPAddr).AddrPort(), 1))
		}
		tcpCheck(cfg)
		cfg.HealthyPanicThreshold = 0
		cfg.OnEndpointUnhealthy = config.CloseConnections
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.Warm(ctx)
	eventually(t, "both are healthy", func() bool { _, healthy, _ := c.Membership(); return healthy == 2 })
	ep = endpointAt(t, c, dying.Addr().String())
	if c.Admit(ep) != Admitted {
		t.Fatal("no place")
	}
	dying.Close()
	eventually(t, "one is unhealthy", func() bool { return flags(c, dying.Addr().String()) == "/failed_active_hc" })
	select {
	case doom := <-dooms:
		if doom != EndpointUnhealthy {
			t.Errorf("doom %d", doom)
		}
	case <-ctx.Done():
		t.Fatal("nobody is told to close the connections of the endpoint")
	}
	if got := shares(c, 10); got[alive.Addr().(*net.TCPAddr).AddrPort()] != 10 {
		t.Errorf("shares %v", got)
	}
}

// endpointAt is the endpoint with an address.
func endpointAt(t *testing.T, c *Cluster, address string) Endpoint {
	t.Helper()
	for range 100 {
		if ep, _ := pick(c, netip.AddrPort{}, new(Tried)); ep.Address.String() == address {
			return ep
		}
	}
	t.Fatalf("%s is never picked", address)
	return Endpoint{}
}

// New sets of endpoints keep what is known of those that stay.
func TestMembersStay(t *testing.T) {
	for _, what := range []config.OpenConnections{config.KeepConnections, config.CloseConnections} {
		t.Run(string(what), func(t *testing.T) {
			c := with(t, func(cfg *config.Cluster) {
				twoEndpoints(cfg)
				cfg.OnEndpointRemoved = what
			})
			var stays, goes Endpoint
			var dooms [2]Doom
			c.keeper = NewKeeper(KeeperOptions{Doomed: func() { dooms = [2]Doom{stays.Doom(), goes.Doom()} }})
			stays, goes = endpointAt(t, c, "10.0.0.1:80"), endpointAt(t, c, "10.0.0.2:80")
			c.Admit(stays)
			c.Admit(goes)
			c.setMembers(c.literal()[:1], time.Now())
			c.keeper.round(time.Now())
			if e := c.Endpoints(); len(e) != 1 || e[0].TotalConnections != 1 {
				t.Errorf("endpoints %+v", e)
			}
			want := [2]Doom{}
			if what == config.CloseConnections {
				want[1] = EndpointRemoved
			}
			if dooms != want || goes.Doom() != Spared {
				t.Errorf("dooms %v, want %v; %d after it", dooms, want, goes.Doom())
			}
			c.Release(goes, Dialling) // its last connection ends after it
			c.Report(goes, outlier.FirstByte)
		})
	}
}

// Draining connections are spared if their endpoint is well again in time.
func TestDrainSparesWhoRecovers(t *testing.T) {
	c := with(t, func(cfg *config.Cluster) {
		twoEndpoints(cfg)
		cfg.OnEndpointUnhealthy = config.DrainConnections
	})
	var ep Endpoint
	doom := Spared
	c.keeper = NewKeeper(KeeperOptions{Drain: time.Minute, Doomed: func() { doom = ep.Doom() }})
	ep = endpointAt(t, c, "10.0.0.1:80")
	c.Admit(ep)
	turn := func(failed bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.noteHealth(ep.member, failedActiveCheck, failed)
	}
	turn(true)
	next := c.keeper.round(time.Now())
	if left := time.Until(next); doom != Spared || left < 50*time.Second || left > time.Minute {
		t.Errorf("doom %d before its time, next %v", doom, next)
	}
	turn(false)
	c.keeper.round(time.Now().Add(time.Hour))
	if doom != Spared {
		t.Error("closed although it is well")
	}
	turn(true)
	c.keeper.round(time.Now().Add(time.Hour))
	if doom != EndpointUnhealthy {
		t.Error("not closed although its time is over")
	}
}

// What crosses a threshold while an earlier crossing is being settled is settled
// in the next round, and not at the next sweep.
func TestCrossingWhileSettling(t *testing.T) {
	c := with(t, func(cfg *config.Cluster) {
		twoEndpoints(cfg)
		o := config.DefaultOutlierDetection()
		o.Interval, o.MaxEjectionPercent = time.Hour, 100
		cfg.OutlierDetection = &o
	})
	fail := func(ep Endpoint) {
		for range 5 {
			c.ConnectFailed(ep, Refused)
		}
	}
	first, second := endpointAt(t, c, "10.0.0.1:80"), endpointAt(t, c, "10.0.0.2:80")
	var once sync.Once
	c.keeper = NewKeeper(KeeperOptions{Ejection: func(outlier.Event) { once.Do(func() { fail(second) }) }})
	fail(first)
	for range 2 {
		c.keeper.round(time.Now())
	}
	if counts, _ := c.Ejections(); counts.EnforcedTotal != 2 {
		t.Errorf("%d endpoints are ejected, want 2", counts.EnforcedTotal)
	}
}

// News wait for the end of the rest, which must not be long.
func TestRest(t *testing.T) {
	for round, want := range map[time.Duration]time.Duration{
		0: 0, time.Millisecond: 24 * time.Millisecond, time.Second: longestRest,
	} {
		if got := rest(round); got != want {
			t.Errorf("%v after a round of %v, want %v", got, round, want)
		}
	}
}

// An endpoint that leaves and returns still has the connections from before.
func TestReturn(t *testing.T) {
	c := with(t, func(cfg *config.Cluster) {
		twoEndpoints(cfg)
		cfg.CircuitBreakers.MaxConnectionsPerEndpoint = 1
	})
	before := endpointAt(t, c, "10.0.0.2:80")
	c.Admit(before)
	c.setMembers(c.literal()[:1], time.Now())
	c.setMembers(c.literal(), time.Now())
	again := endpointAt(t, c, "10.0.0.2:80")
	if got := c.Admit(again); got != EndpointFull {
		t.Errorf("a second connection is admitted (%v)", got)
	}
	c.Release(before, Established)
	if got := c.Admit(again); got != Admitted {
		t.Errorf("the place that is free again is not: %v", got)
	}
	c.setMembers(nil, time.Now())
	c.Release(again, Established)
	c.setMembers(nil, time.Now())
	if len(c.gone) != 0 || len(c.byID) != 0 || len(c.known) != 0 {
		t.Errorf("%d, %d and %d are kept of endpoints that are gone", len(c.gone), len(c.byID), len(c.known))
	}
}

// A connection that a loop makes by the old view, after the endpoint has turned
// unhealthy, is closed with the others; and the loops have the new view by then.
func TestCloseMeansTheOldView(t *testing.T) {
	c := with(t, func(cfg *config.Cluster) {
		twoEndpoints(cfg)
		cfg.OnEndpointUnhealthy = config.CloseConnections
	})
	var ep Endpoint
	var doom Doom
	c.keeper = NewKeeper(KeeperOptions{Doomed: func() {
		doom = ep.Doom()
		if n := shares(c, 10)[ep.Address]; n > 0 {
			t.Errorf("%d of 10 connections still go there", n)
		}
	}})
	ep = endpointAt(t, c, "10.0.0.1:80")
	c.mu.Lock()
	c.noteHealth(ep.member, failedActiveCheck, true)
	c.mu.Unlock()
	c.Admit(ep)
	c.keeper.round(time.Now())
	if doom != EndpointUnhealthy {
		t.Error("the connection stays")
	}
}

// Endpoints that a later configuration has not are removed, whoever resolves or
// lists them.
func TestReplace(t *testing.T) {
	old := with(t, twoEndpoints)
	by := with(t, func(cfg *config.Cluster) {
		twoEndpoints(cfg)
		cfg.Endpoints = cfg.Endpoints[:1]
		cfg.OnEndpointRemoved = config.CloseConnections
	})
	var stays, goes Endpoint
	var dooms [2]Doom
	k := NewKeeper(KeeperOptions{Doomed: func() { dooms = [2]Doom{stays.Doom(), goes.Doom()} }})
	old.keeper, by.keeper = k, k
	stays, goes = endpointAt(t, old, "10.0.0.1:80"), endpointAt(t, old, "10.0.0.2:80")
	old.Admit(stays)
	old.Admit(goes)
	k.Replace(old, by)
	k.round(time.Now())
	if want := [2]Doom{Spared, EndpointRemoved}; dooms != want {
		t.Errorf("dooms %v, want %v", dooms, want)
	}
}

// A cluster that cannot be kept is not checked either: nobody would end it.
func TestFailedKeepLeavesNothing(t *testing.T) {
	checker, err := healthcheck.New(healthcheck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer checker.Close()
	c := with(t, func(cfg *config.Cluster) {
		twoEndpoints(cfg)
		tcpCheck(cfg)
		cfg.Type = config.ClusterStrictDNS
		cfg.Endpoints[0].Address = config.Host("app.example", 80)
		cfg.DNS.Resolvers = []netip.AddrPort{{}}
	})
	var running sync.WaitGroup
	if err := NewKeeper(KeeperOptions{Checker: checker}).Keep(t.Context(), c, &running); err == nil {
		t.Fatal("no error")
	}
	running.Wait()
	if _, checked := c.Checks(); checked {
		t.Error("its endpoints are checked")
	}
}
