package explain

import (
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/listener/policy"
)

// permits asks what the chain asks before it dials.
func (w *walk) permits(chain *config.FilterChain) bool {
	if len(chain.RBAC) > 0 && !w.authorized(chain) {
		return false
	}
	if l := chain.ConnectionLimit; l != nil {
		w.tell("connection_limit: at most %d connections at a time; how many there are depends on others", l.MaxConnections)
	}
	if l := chain.LocalRateLimit; l != nil {
		w.tell("local_rate_limit: %d new connections for each %v, at most %d at once; how many there are depends on others",
			l.TokensPerFill, l.FillInterval, l.MaxTokens)
	}
	return true
}

// authorized asks the chain's rbac. With a problem, which loading would have
// found, it refuses.
func (w *walk) authorized(chain *config.FilterChain) bool {
	rbac, _ := policy.Compile("rbac", policy.FromConfig(chain))
	facts := policy.Facts{
		Source:            w.facts.Source.Addr(),
		DirectSource:      w.facts.DirectSource,
		Destination:       w.facts.Destination,
		ServerName:        w.facts.ServerName,
		ServerNameUnknown: !w.looked,
	}
	for _, line := range rbac.Explain(&facts) {
		w.tell("%s", line)
	}
	decision := rbac.Decide(&facts)
	if !decision.Allowed {
		w.close(accesslog.RBACDenied.String(), "", decision.Details)
	}
	return decision.Allowed
}
