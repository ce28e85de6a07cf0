package proxy

import (
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/listener/policy"
)

// What connection_termination_details says of limits: Envoy's words where it
// has some (connection_limit.cc, local_ratelimit.cc in
// source/extensions/filters/network).
const (
	overConnectionLimit = "over_connection_limit"
	overRateLimit       = "local_ratelimit_close_over_limit"
	overSourceLimit     = "over_connection_limit_per_source"
)

// permit asks the chain's gate, and resets the connection where it refuses. As
// in Envoy the order is rbac, connection_limit, local_rate_limit: who is not
// allowed takes no place and no token from others.
func (c *Connection) permit() bool {
	g := &c.chain.gate
	if g.rbac != nil && !c.authorize() {
		return false
	}
	if g.limit != nil {
		place, ok := g.limit.Take()
		if !ok {
			c.shard().Inc(g.limitSeen.Limited)
			c.outcome.details = overConnectionLimit
			c.fail(accesslog.Overflow, 0)
			return false
		}
		c.place = place
		c.shard().Move(g.limitSeen.Active, 1)
	}
	// The turn's time, by a clock that all loops share.
	if g.rate != nil && !g.rate.Take(int64(c.loop().Wall(c.loop().Now()).Sub(g.since))) {
		c.shard().Inc(g.limited)
		c.outcome.details = overRateLimit
		c.fail(accesslog.RateLimited, accesslog.UpstreamRetryLimitExceeded) // Envoy's flag for it
		return false
	}
	return true
}

// authorize asks the chain's rbac.
func (c *Connection) authorize() bool {
	g, facts := &c.chain.gate, c.facts()
	decision := g.rbac.Decide(&facts)
	g.countRBAC(c.shard(), &decision)
	c.logPolicy = decision.Logged
	if !decision.Allowed {
		c.outcome.details = decision.Details
		c.fail(accesslog.RBACDenied, 0)
	}
	return decision.Allowed
}

// facts are what rbac may ask, known for as long as the connection lives.
func (c *Connection) facts() policy.Facts {
	f := policy.Facts{Source: c.source.Addr(), DirectSource: c.peer.Addr(), Destination: c.destination, ServerNameUnknown: true}
	if c.inspection != nil && c.inspection.NameKnown {
		f.ServerName, f.ServerNameUnknown = c.inspection.Facts.ServerName, false
	}
	return f
}

// leaveGate gives back what permit took.
func (c *Connection) leaveGate() {
	if c.place == (policy.Place{}) {
		return
	}
	c.place.Release()
	c.shard().Move(c.chain.gate.limitSeen.Active, -1)
}

// Authorized says whether rbac, that of a later configuration, would let the
// connection go on, and the details of its refusal. A server name that nobody
// looked for when the connection began stays unknown, which never helps it.
func (c *Connection) Authorized(rbac *policy.RBAC) (allowed bool, details string) {
	facts := c.facts()
	decision := rbac.Decide(&facts)
	return decision.Allowed, decision.Details
}

// ResetDenied resets the live connections that the rbac of a later
// configuration refuses: close_reason rbac_denied. Of asks for the chains of the
// listener with a name, nil where there are none; a chain is found in them by its
// name, and where it is gone or has no rbac nobody is reset. It returns how many
// connections were. Connections that have no chain yet are not asked: they will
// be, by the chains that they were accepted with.
//
// It asks all connections of the loop in one go: on a busy machine 1 µs each
// with one policy, 15 µs with a hundred (BenchmarkDecide).
func (w *Worker) ResetDenied(of func(listener string) *Chains) int {
	reset := 0
	asked := make(map[*Chain]*policy.RBAC)
	w.each(func(c *Connection) {
		if c.chain == nil {
			return
		}
		rbac, known := asked[c.chain]
		if !known {
			rbac = laterRBAC(c.chain, of(c.listener.Config.Name))
			asked[c.chain] = rbac
		}
		if rbac != nil && c.resetIfDenied(rbac) {
			reset++
		}
	})
	return reset
}

// laterRBAC is the rbac that now stands where chain had its own; nil: none, or
// the same.
func laterRBAC(chain *Chain, later *Chains) *policy.RBAC {
	if later == nil {
		return nil
	}
	now := later.named(chain.Name)
	if now == nil || now.gate.rbac == chain.gate.rbac {
		return nil
	}
	return now.gate.rbac
}

func (c *Connection) resetIfDenied(rbac *policy.RBAC) bool {
	allowed, details := c.Authorized(rbac)
	if allowed {
		return false
	}
	c.outcome.details = details
	if c.chain.gate.rbac != nil {
		c.shard().Inc(c.chain.gate.rbacSeen.Denied)
	}
	c.reset(accesslog.RBACDenied)
	return true
}

// ResetListener ends the live connections that came to ln, or to what it was in
// earlier configurations, because a drain is over.
func (w *Worker) ResetListener(ln *listener.Listener) {
	w.each(func(c *Connection) {
		if c.listener.Succeeds(ln) {
			c.reset(accesslog.Drained)
		}
	})
}

// each calls do for the connections that live now; do may end the one that it
// is given.
func (w *Worker) each(do func(*Connection)) {
	if w.live == nil {
		return
	}
	for c, last := w.live, w.live.prev; ; {
		next, end := c.next, c == last
		do(c)
		if end {
			return
		}
		c = next
	}
}
