package cluster

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/healthcheck"
	"github.com/sluiceproxy/sluice/outlier"
)

// Loops pick and report while endpoints come and go, fail checks, are ejected and
// are looked at. In the end every place is given back. The race detector has the
// rest of the verdict.
func TestConcurrentChanges(t *testing.T) {
	const rounds = 300
	c := kept(t, KeeperOptions{Doomed: func() {}}, func(cfg *config.Cluster) {
		cfg.Endpoints = endpoints([]uint32{1, 2, 3, 4})
		cfg.LBPolicy = config.LeastRequest
		cfg.OnEndpointRemoved, cfg.OnEndpointUnhealthy = config.CloseConnections, config.DrainConnections
		o := config.DefaultOutlierDetection()
		o.Interval, o.BaseEjectionTime, o.MaxEjectionPercent = time.Millisecond, time.Millisecond, 100
		cfg.OutlierDetection = &o
		cfg.SlowStart.Window = 10 * time.Millisecond
	})
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			for i := range 10 * rounds {
				ep, ok := pick(c, netip.AddrPort{}, new(Tried))
				if !ok || c.Admit(ep) != Admitted {
					continue
				}
				if i%3 == 0 {
					c.ConnectFailed(ep, TimedOut)
					c.Release(ep, Dialling)
					continue
				}
				c.Connected(ep)
				c.Report(ep, outlier.EarlyClose)
				ep.Doom()
				c.Release(ep, Established)
			}
		})
	}
	running.Go(func() {
		for i := range rounds {
			c.setMembers(c.literal()[:1+i%4], time.Now())
		}
	})
	running.Go(func() {
		for i := range rounds {
			state := healthcheck.Unhealthy + healthcheck.State(i%3)
			c.checked(int32(1+i%8), state, "")
			c.detector.HealthCheckResult(int32(1+i%8), true, time.Now())
		}
	})
	running.Go(func() {
		for range rounds {
			c.Endpoints()
			c.Shares(netip.AddrPort{})
			c.Membership()
			c.Ejections()
		}
	})
	running.Wait()
	active := int64(0)
	for _, e := range c.Endpoints() {
		active += e.ActiveConnections
	}
	if c.Admitted() != 0 || c.Pending() != 0 || active != 0 {
		t.Errorf("%d admitted, %d pending, %d active; want none", c.Admitted(), c.Pending(), active)
	}
}
