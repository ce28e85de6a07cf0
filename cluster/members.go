package cluster

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// found is an endpoint of the configuration, and where it is.
type found struct {
	spec      *config.Endpoint
	place     int32            // of its locality, for balance.Member
	addresses []netip.AddrPort // none: not known (yet)
}

// setMembers makes the cluster have the endpoints that were found. Those that it
// had keep their counts and what is known of their health.
func (c *Cluster) setMembers(list []found, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.known
	c.known = make(map[string]*member, len(list))
	c.members = nil
	for _, f := range list {
		if c.logical && len(f.addresses) > 0 {
			c.seat(&f, f.spec.Address.String(), f.addresses, before, now)
			continue
		}
		if c.offline && f.spec.Address.Name != "" {
			c.seat(&f, f.spec.Address.String(), f.addresses, before, now)
			continue
		}
		for i := range f.addresses {
			c.seat(&f, f.addresses[i].String(), f.addresses[i:i+1:i+1], before, now)
		}
	}
	c.refresh(now)
	for key, m := range before {
		if c.known[key] == nil {
			c.forget(m)
		}
	}
	for key, n := range c.gone {
		if n.active.Load() == 0 {
			delete(c.gone, key)
		}
	}
	c.changes.Add(1)
	c.checkMembers()
}

// seat finds or makes a member. Several names may have one address: the first
// one has it, as in Envoy.
func (c *Cluster) seat(f *found, key string, addresses []netip.AddrPort, before map[string]*member, now time.Time) {
	if c.known[key] != nil {
		return
	}
	m := before[key]
	if m == nil {
		c.lastID++
		m = &member{id: c.lastID, key: key, since: now, counts: c.countsOf(key)}
		m.set(failedActiveCheck|pendingActiveCheck, c.checks != nil)
		if c.detector != nil {
			m.monitor = c.detector.Add(m.id)
		}
	}
	m.describe(f, addresses)
	c.known[key] = m
	c.byID[m.id] = m
	c.members = append(c.members, m)
}

// forget ends what the cluster keeps of a member.
func (c *Cluster) forget(m *member) {
	delete(c.byID, m.id)
	if c.detector != nil {
		c.detector.Remove(m.id)
	}
	c.gone[m.key] = m.counts
	c.condemn(m, EndpointRemoved, c.cfg.OnEndpointRemoved)
}

// countsOf is what a new member begins with: max_connections_per_endpoint and
// least_request count the connections from before it left, too.
func (c *Cluster) countsOf(key string) *counts {
	n := c.gone[key]
	if n == nil {
		return new(counts)
	}
	delete(c.gone, key)
	return n
}
