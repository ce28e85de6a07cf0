package proxy

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/listener/policy"
)

// gate is what a filter chain asks of a connection before it dials. It serves
// all loops. The zero gate is open.
type gate struct {
	rbac     *policy.RBAC // nil: everybody may
	logs     bool         // a policy of rbac only logs
	decides  bool         // others do not
	rbacSeen stats.RBAC

	limit     *policy.ConnectionLimit // nil: none
	limitSeen stats.ConnectionLimit

	rate    *policy.RateLimit // nil: none
	since   time.Time         // zero of rate's clock
	limited stats.Counter
}

// newGate makes the gate of a validated filter chain. Prefix names its
// statistics.
func newGate(cfg *config.FilterChain, prefix string, registry *stats.Registry) (gate, error) {
	g := gate{}
	if len(cfg.RBAC) > 0 {
		rules := policy.FromConfig(cfg)
		rbac, problems := policy.Compile("rbac", rules)
		if len(problems) > 0 {
			return gate{}, problems
		}
		g.rbac, g.rbacSeen = rbac, registry.RBAC(prefix)
		for _, r := range rules {
			g.logs = g.logs || r.Action == policy.Log
			g.decides = g.decides || r.Action != policy.Log
		}
	}
	if cfg.ConnectionLimit != nil {
		limit, err := policy.NewConnectionLimit(cfg.ConnectionLimit.MaxConnections)
		if err != nil {
			return gate{}, fmt.Errorf("connection_limit.%w", err)
		}
		g.limit, g.limitSeen = limit, registry.ConnectionLimit(prefix)
	}
	if l := cfg.LocalRateLimit; l != nil {
		bucket := policy.TokenBucket{MaxTokens: l.MaxTokens, TokensPerFill: l.TokensPerFill, FillInterval: l.FillInterval}
		rate, err := policy.NewRateLimit(bucket, 0)
		if err != nil {
			return gate{}, fmt.Errorf("local_rate_limit.%w", err)
		}
		g.rate, g.since, g.limited = rate, time.Now(), registry.RateLimited(prefix)
	}
	return g, nil
}

// countRBAC counts a decision on the thread of s.
func (g *gate) countRBAC(s *stats.Shard, d *policy.Decision) {
	switch {
	case !g.logs:
	case d.Logged == "":
		s.Inc(g.rbacSeen.ShadowAllowed)
	default:
		s.Inc(g.rbacSeen.ShadowDenied)
	}
	switch {
	case !g.decides:
	case d.Allowed:
		s.Inc(g.rbacSeen.Allowed)
	default:
		s.Inc(g.rbacSeen.Denied)
	}
}
