package config

import (
	"net/netip"
	"strconv"
	"strings"
)

// Normalize brings cfg into the one form that the rest of sluice relies on,
// so that equal configurations compare equal: IPv4-mapped IPv6 addresses
// become IPv4, host bits of prefixes are cleared (as Envoy does), server names
// to match become lower case, chains without a name get one, transparent
// clusters get their mark, empty lists become nil. A chain's empty AccessLog
// stays: it means "none", where nil means "the Config's own".
// Front doors call it before Validate.
func Normalize(cfg *Config) {
	cfg.AccessLog = nilIfEmpty(cfg.AccessLog)
	cfg.Listeners = nilIfEmpty(cfg.Listeners)
	cfg.Clusters = nilIfEmpty(cfg.Clusters)
	cfg.AppHealth.Ports = nilIfEmpty(cfg.AppHealth.Ports)
	for i := range cfg.AppHealth.Ports {
		cfg.AppHealth.Ports[i].Address = unmapPort(cfg.AppHealth.Ports[i].Address)
	}
	for i := range cfg.Listeners {
		normalizeListener(&cfg.Listeners[i])
	}
	for i := range cfg.Clusters {
		normalizeCluster(&cfg.Clusters[i])
	}
}

func normalizeListener(l *Listener) {
	l.Address = unmapPort(l.Address)
	l.ListenerFilters = nilIfEmpty(l.ListenerFilters)
	l.ProxyProtocol.DisallowedVersions = nilIfEmpty(l.ProxyProtocol.DisallowedVersions)
	l.ProxyProtocol.TrustedPrefixRanges = maskAll(l.ProxyProtocol.TrustedPrefixRanges)
	l.FilterChains = nilIfEmpty(l.FilterChains)
	for i := range l.FilterChains {
		normalizeChain(&l.FilterChains[i], "chain-"+strconv.Itoa(i))
	}
	if l.DefaultFilterChain != nil {
		normalizeChain(l.DefaultFilterChain, "default")
	}
}

func normalizeChain(c *FilterChain, unnamed string) {
	if c.Name == "" {
		c.Name = unnamed
	}
	m := &c.Match
	m.PrefixRanges = maskAll(m.PrefixRanges)
	m.ServerNames = lowerAll(m.ServerNames)
	m.ApplicationProtocols = nilIfEmpty(m.ApplicationProtocols)
	m.DirectSourcePrefixRanges = maskAll(m.DirectSourcePrefixRanges)
	m.SourcePrefixRanges = maskAll(m.SourcePrefixRanges)
	m.SourcePorts = nilIfEmpty(m.SourcePorts)
	c.RBAC = nilIfEmpty(c.RBAC)
	for i := range c.RBAC {
		c.RBAC[i].Policies = nilIfEmpty(c.RBAC[i].Policies)
		for j := range c.RBAC[i].Policies {
			normalizePolicy(&c.RBAC[i].Policies[j])
		}
	}
	c.TCPProxy.WeightedClusters = nilIfEmpty(c.TCPProxy.WeightedClusters)
}

func normalizePolicy(p *RBACPolicy) {
	for _, list := range []*[]netip.Prefix{
		&p.SourceIPs, &p.NotSourceIPs, &p.DirectSourceIPs, &p.NotDirectSourceIPs, &p.DestinationIPs, &p.NotDestinationIPs,
	} {
		*list = maskAll(*list)
	}
	p.DestinationPorts, p.NotDestinationPorts = nilIfEmpty(p.DestinationPorts), nilIfEmpty(p.NotDestinationPorts)
	p.ServerNames, p.NotServerNames = lowerAll(p.ServerNames), lowerAll(p.NotServerNames)
}

func normalizeCluster(c *Cluster) {
	c.UpstreamBindAddress = c.UpstreamBindAddress.Unmap()
	if c.TransparentSource && c.UpstreamMark == 0 {
		c.UpstreamMark = TransparentMark
	}
	c.HealthChecks = nilIfEmpty(c.HealthChecks)
	c.Endpoints = nilIfEmpty(c.Endpoints)
	for i := range c.Endpoints {
		c.Endpoints[i].Address.AddrPort = unmapPort(c.Endpoints[i].Address.AddrPort)
	}
}

func nilIfEmpty[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func unmapPort(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// maskAll clears host bits. A mapped prefix shorter than /96 reaches beyond
// the mapped IPv4 addresses and stays an IPv6 one.
func maskAll(prefixes []netip.Prefix) []netip.Prefix {
	const mappedBits = 96
	for i, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= mappedBits {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
		}
		prefixes[i] = p.Masked()
	}
	return nilIfEmpty(prefixes)
}

// lowerAll folds names as DNS compares them (RFC 4343): ASCII letters only.
func lowerAll(names []string) []string {
	for i, name := range names {
		names[i] = strings.Map(func(r rune) rune {
			if 'A' <= r && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, name)
	}
	return nilIfEmpty(names)
}
