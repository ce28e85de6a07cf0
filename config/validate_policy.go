package config

import (
	"fmt"
	"slices"
)

// policies checks what lets connections of a chain through. What a policy's
// lists mean together is checked when package listener/policy compiles them.
func (v *validator) policies(path string, c *FilterChain, l *Listener) {
	for i := range c.RBAC {
		at := path + ".rbac"
		if len(c.RBAC) > 1 {
			at = fmt.Sprintf("%s[%d]", at, i)
		}
		v.rbac(at, &c.RBAC[i], slices.Contains(l.ListenerFilters, FilterTLS))
	}
	if c.ConnectionLimit != nil && c.ConnectionLimit.MaxConnections < 1 {
		v.add(path+".connection_limit.max_connections", "must be at least 1, not %d: leave connection_limit out for no limit",
			c.ConnectionLimit.MaxConnections)
	}
	if c.LocalRateLimit != nil {
		v.rateLimit(path+".local_rate_limit", c.LocalRateLimit)
	}
}

// rbac checks rules; tls tells whether the listener finds out server names.
func (v *validator) rbac(path string, r *RBAC, tls bool) {
	oneOf(v, path+".action", r.Action, RBACActions())
	if len(r.Policies) == 0 && (r.Action == RBACDeny || r.Action == RBACLog) {
		v.add(path+".policies", "must have a policy: %s without one never matches; add one, or remove the rules", r.Action)
	}
	names := make(map[string]string, len(r.Policies))
	for i := range r.Policies {
		v.rbacPolicy(fmt.Sprintf("%s.policies[%d]", path, i), &r.Policies[i], names, tls)
	}
}

func (v *validator) rbacPolicy(path string, p *RBACPolicy, names map[string]string, tls bool) {
	v.name(path+".name", p.Name, names)
	switch conditional := p.conditional(); {
	case p.Any && conditional:
		v.add(path+".any", "must not stand beside conditions: true is every connection; remove it or them")
	case !p.Any && !conditional:
		v.add(path, "must have a condition, such as source_ips, or any: true if it is for every connection")
	}
	v.rbacPorts(path+".destination_ports", p.DestinationPorts)
	v.rbacPorts(path+".not_destination_ports", p.NotDestinationPorts)
	v.rbacNames(path+".server_names", p.ServerNames, tls)
	v.rbacNames(path+".not_server_names", p.NotServerNames, tls)
}

func (v *validator) rbacPorts(path string, ports []uint16) {
	for i, port := range ports {
		if port == 0 {
			v.add(fmt.Sprintf("%s[%d]", path, i), "must be from 1 to 65535, not 0")
		}
	}
}

func (v *validator) rbacNames(path string, names []string, tls bool) {
	if len(names) > 0 && !tls {
		v.add(path, "needs tls_inspector among the listener's listener_filters: nothing else tells")
	}
	for i, name := range names {
		if name != "*" {
			v.serverName(fmt.Sprintf("%s[%d]", path, i), name)
		}
	}
}

func (v *validator) rateLimit(path string, l *LocalRateLimit) {
	if l.MaxTokens < 1 || l.MaxTokens > MostTokens {
		v.add(path+".max_tokens", "must be from 1 to %d, not %d: leave local_rate_limit out for no limit", MostTokens, l.MaxTokens)
	}
	if l.TokensPerFill < 1 {
		v.add(path+".tokens_per_fill", "must be at least 1, not 0: the bucket would never fill again")
	}
	if l.FillInterval < MinFillInterval {
		v.add(path+".fill_interval", "must be at least %v, not %v", MinFillInterval, l.FillInterval)
	}
}
