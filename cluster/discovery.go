package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/cluster/dns"
)

// warmPoll is how often Warm looks whether endpoints were checked.
const warmPoll = 10 * time.Millisecond

// discovery is what DNS has said so far of the names of one cluster.
type discovery struct {
	mu   sync.Mutex
	list []found
	news bool // the cluster does not have it yet
}

// resolve begins to watch the names of c.
func (k *Keeper) resolve(ctx context.Context, c *Cluster, running *sync.WaitGroup) error {
	d := c.discovery
	if d == nil {
		return nil
	}
	for i := range d.list {
		name := d.list[i].spec.Address.Name
		if name == "" {
			continue
		}
		resolver, err := k.resolver(c.cfg.DNS.Resolvers)
		if err != nil {
			return fmt.Errorf("cluster %q: %w", c.Name, err)
		}
		watch := dns.NewWatch(resolver, name, c.cfg.DNS, func(a dns.Answer) { d.answered(c, i, a) })
		watch.FollowFirst = c.logical
		if k.options.Resolved != nil {
			watch.OnReport = func(r dns.Report) { k.options.Resolved(c, r) }
		}
		c.watches = append(c.watches, watch)
		running.Go(func() { watch.Run(ctx) })
	}
	return nil
}

// resolver is the one that asks these servers.
func (k *Keeper) resolver(servers []netip.AddrPort) (*dns.Resolver, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := fmt.Sprint(servers)
	if r := k.resolvers[key]; r != nil {
		return r, nil
	}
	r, err := dns.NewResolver(dns.Options{Resolvers: servers, Hosts: k.options.Hosts})
	if err == nil {
		k.resolvers[key] = r
	}
	return r, err
}

// answered takes in what the i-th name stands for. Its endpoints are made by the
// keeper, for all names at once: with thousands of them, each answer would cost
// as much as all.
func (d *discovery) answered(c *Cluster, i int, a dns.Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	port := d.list[i].spec.Address.Port()
	addresses := make([]netip.AddrPort, 0, len(a.Addrs))
	for _, addr := range a.Addrs {
		addresses = append(addresses, netip.AddrPortFrom(addr, port))
	}
	if c.logical {
		addresses = inTurn(netip.AddrPortFrom(a.First, port), addresses)
	}
	d.list[i].addresses = addresses
	d.news = true
	c.note()
}

// discover gives the cluster what DNS has said since the last time, if anything.
func (c *Cluster) discover(now time.Time) (news bool) {
	d := c.discovery
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.news {
		return false
	}
	d.news = false
	c.setMembers(d.list, now)
	return true
}

// Warm returns when each name was looked up once, with or without success, and
// each endpoint was checked once, and connections go by that; or when ctx ends.
func (c *Cluster) Warm(ctx context.Context) {
	for _, w := range c.watches {
		select {
		case <-w.First():
		case <-ctx.Done():
			return
		}
	}
	c.discover(time.Now())
	if _, checked := c.Checks(); !checked {
		return
	}
	look := time.NewTicker(warmPoll)
	defer look.Stop()
	for c.pendingChecks() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
	c.renew(time.Now()) // the keeper may rest
}

// pendingChecks says whether an endpoint waits for its first check.
func (c *Cluster) pendingChecks() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.members, func(m *member) bool { return m.health()&pendingActiveCheck != 0 })
}

// Lookups are the counts of DNS; ok is false without names.
func (c *Cluster) Lookups() (sum dns.Counters, ok bool) {
	for _, w := range c.watches {
		sum.Add(w.Counters())
	}
	return sum, len(c.watches) > 0
}

// inTurn puts first at the beginning and lets the families alternate from there
// (RFC 8305, section 4).
func inTurn(first netip.AddrPort, all []netip.AddrPort) []netip.AddrPort {
	var same, other []netip.AddrPort
	for _, a := range all {
		switch {
		case a == first:
		case a.Addr().Is4() == first.Addr().Is4():
			same = append(same, a)
		default:
			other = append(other, a)
		}
	}
	list := append(make([]netip.AddrPort, 0, len(all)), first)
	for i := range max(len(same), len(other)) {
		if i < len(other) {
			list = append(list, other[i])
		}
		if i < len(same) {
			list = append(list, same[i])
		}
	}
	return list
}
