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
func kept(t *testing.T, o KeeperOptions, change func(*config.Cluster)) *Cluster {
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
func eventually(t *testing.T, what string, holds func() bool) {
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

// An outlier that shows itself while another one is being ejected is ejected
// next, although nothing else happens.
func TestOutlierDuringSettle(t *testing.T) {
	c := with(t, func(cfg *config.Cluster) {
		twoEndpoints(cfg)
		o := config.DefaultOutlierDetection()
		o.ConsecutiveLocalOriginFailure, o.MaxEjectionPercent = 1, 100
		cfg.OutlierDetection = &o
	})
	var second Endpoint
	c.keeper = NewKeeper(KeeperOptions{Ejection: func(e outlier.Event) {
		if e.Address != second.Address.String() {
			c.ConnectFailed(second, Refused)
		}
	}})
	first := endpointAt(t, c, "10.0.0.1:80")
	second = endpointAt(t, c, "10.0.0.2:80")
	c.ConnectFailed(first, Refused)
	for range 2 {
		c.keeper.round(time.Now())
	}
	if counts, _ := c.Ejections(); counts.EnforcedTotal != 2 {
		t.Errorf("%d are ejected, want 2", counts.EnforcedTotal)
	}
}
