package stats

// RBAC is what a filter chain's rbac counts. Registry.RBAC builds it. The
// shadow ones are those of rules that only log, as Envoy's shadow_rules.
type RBAC struct {
	Allowed       Counter
	Denied        Counter
	ShadowAllowed Counter // no log policy matched
	ShadowDenied  Counter // one did: deny in place of log would have refused
}

// ConnectionLimit is what a filter chain's connection_limit counts.
// Registry.ConnectionLimit builds it.
type ConnectionLimit struct {
	Active  Gauge
	Limited Counter
}

// RBAC gives the places of the rbac with this prefix. Envoy's name is
// PREFIX.rbac.allowed, from which its Prometheus names are made by taking the
// prefix out.
func (r *Registry) RBAC(prefix string) RBAC {
	prefix = clean(statName(prefix))
	r.mu.Lock()
	defer r.mu.Unlock()
	envoy := r.scope(naming{prefix: "envoy_rbac_", labels: []string{"envoy_rbac_prefix"}, values: []string{prefix}, text: prefix + ".rbac."})
	return RBAC{
		Allowed:       envoy.counter("allowed", "Connections that rbac let through."),
		Denied:        envoy.counter("denied", "Connections that rbac refused."),
		ShadowAllowed: envoy.counter("shadow_allowed", "Connections that no rbac policy with action log matched."),
		ShadowDenied:  envoy.counter("shadow_denied", "Connections that an rbac policy with action log matched."),
	}
}

// ConnectionLimit gives the places of the connection_limit with this prefix.
func (r *Registry) ConnectionLimit(prefix string) ConnectionLimit {
	r.mu.Lock()
	defer r.mu.Unlock()
	envoy := r.envoyScope("connection_limit", "envoy_connection_limit_prefix", prefix)
	return ConnectionLimit{
		Active:  envoy.gauge("active_connections", "Connections that count towards connection_limit now."),
		Limited: envoy.counter("limited_connections", "Connections refused by connection_limit."),
	}
}

// RateLimited gives the place of the local_rate_limit with this prefix: the
// connections that it refused.
func (r *Registry) RateLimited(prefix string) Counter {
	r.mu.Lock()
	defer r.mu.Unlock()
	envoy := r.envoyScope("local_rate_limit", "envoy_local_network_ratelimit_prefix", prefix)
	return envoy.counter("rate_limited", "Connections refused by local_rate_limit.")
}
