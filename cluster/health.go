package cluster

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/healthcheck"
)

// noteHealth changes what is known of a member's health, and what follows from that.
// It needs the lock.
func (c *Cluster) noteHealth(m *member, f flag, on bool) {
	was := m.health()
	if !m.set(f, on) {
		return
	}
	c.note()
	available := m.health()&unavailable == 0
	switch {
	case was&unavailable == 0 && !available:
		c.condemn(m, EndpointUnhealthy, c.cfg.OnEndpointUnhealthy)
	case was&unavailable != 0 && available:
		m.since = time.Now()
	}
}

// note has the keeper make a new view soon. Any thread.
func (c *Cluster) note() {
	if c.keeper != nil && c.noted.CompareAndSwap(false, true) {
		c.keeper.note(c)
	}
}

// check begins active health checks.
func (c *Cluster) check(checker *healthcheck.Checker, skipped func(*Cluster, error)) {
	if len(c.cfg.HealthChecks) == 0 || checker == nil {
		return
	}
	o := healthcheck.GroupOptions{
		Dial:       c.DialCheck,
		Knock:      c.knock,
		HostFault:  HostFault,
		HasTraffic: c.used.Load,
		Changed:    c.checked,
	}
	if c.proxyProtocol != "" {
		o.Preamble = c.AppendProbeHeader
	}
	if c.detector != nil {
		o.Passed = func(id int32) { c.detector.HealthCheckResult(id, true, time.Now()) }
	}
	if skipped != nil {
		o.Skipped = func(err error) { skipped(c, err) }
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checks = checker.NewGroup(c.Name, c.cfg.HealthChecks, o)
	for _, m := range c.members {
		m.set(failedActiveCheck|pendingActiveCheck, true)
	}
	c.checkMembers()
}

// DialCheck begins a health check's connection as Dial does for traffic: same
// source, same mark. Under transparent_source there is no client whose address
// it could have, and it goes out from this host's own. The caller owns fd.
func (c *Cluster) DialCheck(address netip.AddrPort) (fd int, err error) {
	return c.Dial(Endpoint{Address: address}, Origin{})
}

// knock is DialCheck for a check that only wants to know whether a connection can
// be made.
func (c *Cluster) knock(address netip.AddrPort) (fd int, err error) {
	return c.Dial(Endpoint{Address: address}, Origin{Knock: true})
}

// checkMembers tells the checker which endpoints there are. It needs the lock.
func (c *Cluster) checkMembers() {
	if c.checks == nil {
		return
	}
	targets := make([]healthcheck.Target, len(c.members))
	for i, m := range c.members {
		targets[i] = healthcheck.Target{ID: m.id, Address: m.addresses[0], Host: m.spec.Address.Name}
	}
	c.checks.Set(targets)
}

// checked hears from the checker that an endpoint's state changed.
func (c *Cluster) checked(id int32, state healthcheck.State, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.byID[id]
	if m == nil {
		return
	}
	m.set(pendingActiveCheck, state == healthcheck.Pending)
	c.noteHealth(m, degradedActiveCheck, state == healthcheck.Degraded)
	c.noteHealth(m, failedActiveCheck, state == healthcheck.Unhealthy || state == healthcheck.Pending)
	c.note()
}

// Checks are the counts of active health checks; ok is false without them.
func (c *Cluster) Checks() (counts healthcheck.Counts, ok bool) {
	c.mu.Lock()
	checks := c.checks
	c.mu.Unlock()
	if checks == nil {
		return counts, false
	}
	return checks.Counts(), true
}
