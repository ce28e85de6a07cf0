package proxy

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/listener/policy"
)

// gated is a workbench whose default chain has a policy.
func gated(t *testing.T, change func(*config.FilterChain)) *workbench {
	t.Helper()
	return newWorkbenchOf(t, func(ln *config.Listener) { change(ln.DefaultFilterChain) })
}

// from are rules with one policy about one source.
func from(action config.RBACAction, source string) config.RBAC {
	return config.RBAC{Action: action, Policies: []config.RBACPolicy{{
		Name: string(action) + " " + source, SourceIPs: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(source), 32)},
	}}}
}

// refused expects a client to be reset, and gives the record that it left.
func (w *workbench) refused(client net.Conn) accesslog.Record {
	w.t.Helper()
	if _, err := client.Read(make([]byte, 1)); !isReset(err) {
		w.t.Errorf("the client sees %v, want a reset", err)
	}
	return w.last()
}

// end is what a record says of a connection's end.
type end struct {
	reason  accesslog.CloseReason
	flags   accesslog.Flags
	details string
}

func endOf(r accesslog.Record) end { return end{r.CloseReason, r.Flags, r.TerminationDetails} }

func TestRBAC(t *testing.T) {
	const one, two, three = "127.0.0.12", "127.0.0.13", "127.0.0.14" // TestRace listens on those before
	denied := func(policy string) end {
		return end{accesslog.RBACDenied, 0, "rbac_access_denied_matched_policy[" + policy + "]"}
	}
	w := gated(t, func(c *config.FilterChain) {
		c.RBAC = []config.RBAC{from(config.RBACLog, one), from(config.RBACAllow, one), from(config.RBACDeny, two)}
		c.RBAC[1].Policies = append(c.RBAC[1].Policies, from(config.RBACAllow, two).Policies...)
	})
	seen := w.chains.fallback.gate.rbacSeen
	w.echoes(w.connectFrom(one, w.chains), "allowed")
	logged := ""
	w.loop.Do(func() { logged = w.worker.live.logPolicy })
	if logged != "log "+one {
		t.Errorf("logged policy %q", logged)
	}
	if got := endOf(w.refused(w.connectFrom(two, w.chains))); got != denied("deny_"+two) {
		t.Errorf("denied before allowed: %+v", got)
	}
	r := w.refused(w.connectFrom(three, w.chains))
	if got := endOf(r); got != denied("none") {
		t.Errorf("allowed by none: %+v", got)
	}
	if r.ClosedBy != accesslog.ByProxy || r.FilterChain != "to-app" || r.ConnectAttempts != 0 || r.RBACLogPolicy != "" {
		t.Errorf("record %+v", r)
	}
	for _, c := range []struct {
		name    string
		counter stats.Counter
		want    uint64
	}{{"allowed", seen.Allowed, 1}, {"denied", seen.Denied, 2}, {"shadow_allowed", seen.ShadowAllowed, 2}, {"shadow_denied", seen.ShadowDenied, 1}} {
		if n := w.counted(c.counter); n != c.want {
			t.Errorf("%s is %d, want %d", c.name, n, c.want)
		}
	}
}

// Rules that only log count as shadow, and nowhere else.
func TestLogNeverDenies(t *testing.T) {
	w := gated(t, func(c *config.FilterChain) { c.RBAC = []config.RBAC{from(config.RBACLog, "127.0.0.1")} })
	w.echoes(w.connect(w.chains), "logged")
	seen := w.chains.fallback.gate.rbacSeen
	if a, d, s := w.counted(seen.Allowed), w.counted(seen.Denied), w.counted(seen.ShadowDenied); a != 0 || d != 0 || s != 1 {
		t.Errorf("allowed %d, denied %d, shadow_denied %d, want 0, 0, 1", a, d, s)
	}
}

func TestConnectionLimit(t *testing.T) {
	w := gated(t, func(c *config.FilterChain) { c.ConnectionLimit = &config.ConnectionLimit{MaxConnections: 2} })
	first, second := w.connect(w.chains), w.connect(w.chains)
	w.echoes(first, "first")
	w.echoes(second, "second")
	want := end{accesslog.Overflow, 0, "over_connection_limit"}
	if got := endOf(w.refused(w.connect(w.chains))); got != want {
		t.Errorf("third ended with %+v", got)
	}
	gate := &w.chains.fallback.gate
	if active, limited := w.counted(stats.Counter(gate.limitSeen.Active)), w.counted(gate.limitSeen.Limited); active != 2 || limited != 1 {
		t.Errorf("active %d, limited %d, want 2, 1", active, limited)
	}
	first.Close()
	w.eventually("the place is free", func() bool { return gate.limit.Active() == 1 })
	w.echoes(w.connect(w.chains), "third")
}

func TestRateLimit(t *testing.T) {
	w := gated(t, func(c *config.FilterChain) {
		c.ConnectionLimit = &config.ConnectionLimit{MaxConnections: 10}
		c.LocalRateLimit = &config.LocalRateLimit{MaxTokens: 1, TokensPerFill: 1, FillInterval: time.Hour}
	})
	gate := &w.chains.fallback.gate
	w.echoes(w.connect(w.chains), "first")
	want := end{accesslog.RateLimited, accesslog.UpstreamRetryLimitExceeded, "local_ratelimit_close_over_limit"}
	if got := endOf(w.refused(w.connect(w.chains))); got != want {
		t.Errorf("second ended with %+v", got)
	}
	if n := w.counted(gate.limited); n != 1 || gate.limit.Active() != 1 {
		t.Errorf("%d counted, %d places taken, want 1 and 1: who is refused holds none", n, gate.limit.Active())
	}
	w.loop.Do(func() { gate.since = gate.since.Add(-time.Hour) }) // as if an hour had passed
	w.echoes(w.connect(w.chains), "third")
}

// TestPlacesComeBack ends connections in every way, and looks whether they
// leave anything taken.
func TestPlacesComeBack(t *testing.T) {
	read := func(client net.Conn) { client.Read(make([]byte, 1)) }
	for _, tc := range []struct {
		name   string
		change func(w *workbench, c *Chain)
		finish func(w *workbench, client net.Conn)
	}{
		{"client closes", nil, func(w *workbench, client net.Conn) { w.echoes(client, "x"); client.Close() }},
		{"client resets", nil, func(w *workbench, client net.Conn) {
			w.echoes(client, "x")
			must(w.t, client.(*net.TCPConn).SetLinger(0))
			client.Close()
		}},
		{"idle", func(_ *workbench, c *Chain) { c.timeouts.Idle = time.Millisecond }, func(_ *workbench, client net.Conn) { read(client) }},
		{"no endpoint", func(_ *workbench, c *Chain) { c.attempts = 0 }, func(_ *workbench, client net.Conn) { read(client) }},
		{"rate limit", func(w *workbench, c *Chain) {
			w.loop.Do(func() { c.gate.rate.Take(0) })
		}, func(_ *workbench, client net.Conn) { read(client) }},
		{"panic at the beginning", func(_ *workbench, c *Chain) { c.routes[0].cluster = new(cluster.Cluster) }, func(_ *workbench, client net.Conn) { read(client) }},
		{"panic at the answer", func(_ *workbench, c *Chain) { c.routes[0].meters = nil }, func(_ *workbench, client net.Conn) { read(client) }},
		{"drained", nil, func(w *workbench, client net.Conn) { w.echoes(client, "x"); w.loop.Do(w.worker.ResetAll) }},
		{"denied later", nil, func(w *workbench, client net.Conn) {
			w.echoes(client, "x")
			nobody, _ := policy.Compile("rbac", []policy.Rules{{Action: policy.Allow}})
			w.loop.Do(func() { w.worker.ResetDenied(laterChains(w.chains.fallback.Name, nobody)) })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := gated(t, func(c *config.FilterChain) {
				c.RBAC = []config.RBAC{from(config.RBACAllow, "127.0.0.1")}
				c.ConnectionLimit = &config.ConnectionLimit{MaxConnections: 1}
				c.LocalRateLimit = &config.LocalRateLimit{MaxTokens: 1, TokensPerFill: 1, FillInterval: time.Hour}
			})
			chain := w.chains.fallback
			if tc.change != nil {
				tc.change(w, chain)
			}
			tc.finish(w, w.connect(w.chains))
			w.eventually("the connection has ended", func() bool { return w.live() == 0 })
			if n := chain.gate.limit.Active(); n != 0 {
				t.Errorf("%d places of connection_limit are left", n)
			}
			if n := int64(w.counted(stats.Counter(chain.gate.limitSeen.Active))); n != 0 {
				t.Errorf("active_connections is %d", n)
			}
			if n := w.limits.Sources.Tracked(); n != 0 {
				t.Errorf("%d sources are left", n)
			}
		})
	}
}

// laterChains are those of a later configuration: one.
func laterChains(name string, rbac *policy.RBAC) func(string) *Chains {
	chain := &Chain{Name: name, gate: gate{rbac: rbac}}
	return func(string) *Chains { return &Chains{byName: map[string]*Chain{name: chain}} }
}

// TestResetDenied has rules of a later configuration end the connections that
// they refuse, of the chains that they are for, and no others.
func TestResetDenied(t *testing.T) {
	w := gated(t, func(c *config.FilterChain) { c.RBAC = []config.RBAC{from(config.RBACDeny, "127.0.0.9")} })
	compile := func(rules ...config.RBAC) *policy.RBAC {
		rbac, problems := policy.Compile("rbac", policy.FromConfig(&config.FilterChain{RBAC: rules}))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return rbac
	}
	other := *w.chains.fallback
	other.Name = "other"
	good, bad, elsewhere := w.connectFrom("127.0.0.12", w.chains), w.connectFrom("127.0.0.13", w.chains), w.connectFrom("127.0.0.13", &Chains{fallback: &other})
	for _, client := range []net.Conn{good, bad, elsewhere} {
		w.echoes(client, "before")
	}
	reset := func(chain string, rbac *policy.RBAC) (n int) {
		w.loop.Do(func() { n = w.worker.ResetDenied(laterChains(chain, rbac)) })
		return n
	}
	if n := reset("to-app", nil) + reset("other", compile(from(config.RBACLog, "127.0.0.13"))) + reset("gone", compile(from(config.RBACDeny, "127.0.0.13"))); n != 0 {
		t.Errorf("%d reset by rules that let everybody", n)
	}
	if n := reset("to-app", compile(from(config.RBACDeny, "127.0.0.13"))); n != 1 {
		t.Errorf("%d reset, want 1", n)
	}
	want := end{accesslog.RBACDenied, 0, "rbac_access_denied_matched_policy[deny_127.0.0.13]"}
	r := w.refused(bad)
	if got := endOf(r); got != want || r.ClosedBy != accesslog.ByProxy || r.BytesReceived != 6 {
		t.Errorf("ended with %+v after %d bytes, by %s", got, r.BytesReceived, r.ClosedBy)
	}
	w.echoes(good, "after")
	w.echoes(elsewhere, "after")
	if n := w.counted(w.chains.fallback.gate.rbacSeen.Denied); n != 1 {
		t.Errorf("denied is %d, want 1", n)
	}
	// Nobody has looked for these connections' server names: that is no way
	// around a rule about them.
	names := compile(config.RBAC{Action: config.RBACDeny, Policies: []config.RBACPolicy{{Name: "bad", ServerNames: []string{"*.bad"}}}})
	if n := reset("to-app", names) + reset("other", names); n != 2 {
		t.Errorf("%d reset by rules about names, want 2", n)
	}
	if n := w.live(); n != 0 {
		t.Errorf("%d connections live, want none", n)
	}
}

func TestPermitAllocatesNothing(t *testing.T) {
	for name, change := range map[string]func(*config.FilterChain){
		"without policy": func(*config.FilterChain) {},
		"with all": func(c *config.FilterChain) {
			c.RBAC = []config.RBAC{from(config.RBACLog, "127.0.0.1"), from(config.RBACDeny, "127.0.0.9"), from(config.RBACAllow, "127.0.0.1")}
			c.ConnectionLimit = &config.ConnectionLimit{MaxConnections: 10}
			c.LocalRateLimit = &config.LocalRateLimit{MaxTokens: config.MostTokens, TokensPerFill: 1, FillInterval: time.Hour}
		},
	} {
		w := gated(t, change)
		w.echoes(w.connect(w.chains), "hello")
		w.loop.Do(func() {
			c := w.worker.live
			permitted := true
			if n := testing.AllocsPerRun(100, func() {
				c.leaveGate()
				permitted = permitted && c.permit()
			}); n != 0 || !permitted {
				t.Errorf("%s: %v allocations, permitted: %v", name, n, permitted)
			}
		})
	}
}
