package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// Sources of the client beside clientIP.
const (
	quarantinedIP = "10.4.0.66"
	colleagueIP   = "10.4.0.77"
	strangerIP    = "10.9.0.9"
)

// newPolicyWorld is a world whose client has several addresses.
func newPolicyWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	for _, ip := range []string{quarantinedIP, colleagueIP} {
		w.client.AddAddr("eth0", ip+"/24")
	}
	w.client.AddAddr("eth0", strangerIP+"/32")
	w.pod.Route(strangerIP, clientIP)
	w.applyRules(redirect)
	return w
}

// prefixed makes the label of the chains' policy metrics.
func prefixed(family, chain string) string {
	return fmt.Sprintf("envoy_%s_prefix=%q", family, "virtualInbound/"+chain)
}

// outcome runs a client that may be refused, and returns its exit status and
// output.
func outcome(w *world, name string, args ...string) (status int, out string) {
	w.Helper()
	text, err := w.client.Command("timeout", append([]string{"30", name}, args...)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.Fatalf("%s: %v", name, err)
	}
	if exit != nil {
		status = exit.ExitCode()
	}
	return status, string(text)
}

// policyCase is one client of the example.
type policyCase struct {
	name    string
	source  string
	port    int
	sni     string // "": curl without TLS
	details string // "": it is let through
	logged  string // the policy with action log that matches
	chain   string
	counter string
}

// TestPolicyExample has curl and openssl call a pod that runs
// configs/l4-policy.yaml.
func TestPolicyExample(t *testing.T) {
	t.Parallel()
	testnet.Need(t, "curl", "openssl")
	w := newPolicyWorld(t)
	startProgram(w, w.pod, program{name: "http", port: 9080, server: serveHTTP})
	startProgram(w, w.pod, program{name: "health", port: 8080, server: serveHTTP})
	startProgram(w, w.pod, program{name: "other", port: 9999, server: serveHTTP})
	startProgram(w, w.pod, program{name: "tls", port: 9443, server: serveTLS})
	s := startSidecar(w, exampleText(w, "l4-policy.yaml")+quickDrain, asSidecar(redirect))
	matched := func(policy string) string { return "rbac_access_denied_matched_policy[" + policy + "]" }
	for _, tc := range []policyCase{
		{"allowed", clientIP, 9080, "", "", "", "reviews", "allowed"},
		{"allowed and logged", colleagueIP, 9080, "", "", "only-the-productpage", "reviews", "allowed"},
		{"denied before allowed", quarantinedIP, 9080, "", matched("quarantine"), "only-the-productpage", "reviews", "denied"},
		{"allowed by none", strangerIP, 9080, "", matched("none"), "only-the-productpage", "reviews", "denied"},
		{"server name", clientIP, 9443, "www.reviews.example", "", "", "tls", "allowed"},
		{"server name in capitals", clientIP, 9443, "WWW.Reviews.example", "", "", "tls", "allowed"},
		{"excepted server name", clientIP, 9443, "internal.reviews.example", matched("none"), "", "tls", "denied"},
		{"another server name", clientIP, 9443, "evil.example", matched("none"), "", "tls", "denied"},
		{"not TLS", clientIP, 9443, "", matched("none"), "", "tls", "denied"},
		{"default chain", clientIP, 8080, "", "", "", "other-ports", "allowed"},
		{"default chain, another port", clientIP, 9999, "", matched("none"), "", "other-ports", "denied"},
		{"default chain, a stranger", strangerIP, 8080, "", matched("none"), "", "other-ports", "denied"},
	} {
		t.Run(tc.name, func(t *testing.T) { callWithPolicy(s.in(t), tc) })
	}
}

// callWithPolicy makes one call, and looks at what it leaves behind.
func callWithPolicy(s *sidecar, tc policyCase) {
	w := s.w
	before, counted := len(s.records()), s.metrics()
	address := fmt.Sprintf("%s:%d", podIP, tc.port)
	status, out := 0, ""
	if tc.sni == "" {
		status, out = outcome(w, "curl", "-sS", "-m", "20", "-o", "/dev/null", "--interface", tc.source, "http://"+address+"/whoami")
	} else {
		status, out = outcome(w, "sh", "-c", `exec openssl s_client -brief -servername "$1" -connect "$2" </dev/null 2>&1`, "sh", tc.sni, address)
	}
	if allowed := tc.details == ""; (status == 0) != allowed {
		w.Errorf("the client ended with status %d: %s", status, out)
	}
	w.eventually(func() error {
		if len(s.records()) == before {
			return errors.New("no access log line")
		}
		return nil
	})
	r := s.records()[before]
	want := ending{"proxy", "rbac_denied", "-"}
	if tc.details == "" {
		want = ending{r.ClosedBy, "fin", "-"}
		if tc.sni != "" {
			want.reason = r.Reason // openssl waits half a second for the last tickets, then resets them
		}
	}
	if r.ending() != want || r.Details != tc.details || r.LogPolicy != tc.logged || r.Chain != tc.chain || host(r.Remote) != tc.source {
		w.Errorf("record %+v", r)
	}
	if tc.details != "" && (r.ConnectAttempts != 0 || r.UpstreamHost != "") {
		w.Errorf("a refused connection was dialled: %+v", r)
	}
	label := prefixed("rbac", tc.chain)
	s.waitMetric(counted.sum("envoy_rbac_"+tc.counter, label)+1, "envoy_rbac_"+tc.counter, label)
	shadow := "envoy_rbac_shadow_denied"
	wantShadow := counted.sum(shadow, label)
	if tc.logged != "" {
		wantShadow++
	}
	s.waitMetric(wantShadow, shadow, label)
}

// exampleText is a file of configs that logs where tests look.
func exampleText(w *world, name string) string {
	w.Helper()
	text, err := os.ReadFile("../configs/" + name)
	if err != nil {
		w.Fatal(err)
	}
	const logs = "- path: /dev/stdout\n  format: json\n"
	if !strings.Contains(string(text), logs) {
		w.Fatalf("%s does not log to /dev/stdout any more", name)
	}
	return strings.Replace(string(text), logs, "- path: $LOG\n  format: json\n  flush_interval: 1ms\n", 1)
}

// limitedText has a chain for each kind of limit.
func limitedText(top string) string {
	return head + quickDrain + top + `
listeners:
- name: virtualInbound
  address: 0.0.0.0:15006
  interception_mode: redirect
  listener_filters: [tls_inspector]
  listener_filters_timeout: 100ms
  filter_chains:
  - name: places
    match: {destination_port: 7001}
    connection_limit: {max_connections: 10}
    tcp_proxy: {cluster: inbound}
  - name: tokens
    match: {destination_port: 7002}
    local_rate_limit: {max_tokens: 10, fill_interval: 10000s}
    tcp_proxy: {cluster: inbound}
  - name: filled
    match: {destination_port: 7003}
    local_rate_limit: {max_tokens: 1, fill_interval: 1s}
    tcp_proxy: {cluster: inbound}
  - name: names
    match: {destination_port: 7004}
    rbac: {action: deny, policies: [{name: bad, server_names: ["*.bad.example"]}]}
    tcp_proxy: {cluster: inbound}
  default_filter_chain: {name: unlimited, tcp_proxy: {cluster: inbound}}
clusters:
- {name: inbound, type: original_dst, upstream_bind_address: 127.0.0.6}
`
}

// isDetails is a filter for records.
func isDetails(details string) func(record) bool {
	return func(r record) bool { return r.Details == details }
}

func TestPolicyLimits(t *testing.T) {
	t.Parallel()
	w := newPolicyWorld(t)
	serveGreeting(w, w.pod, "0.0.0.0:7000", "0.0.0.0:7001", "0.0.0.0:7002", "0.0.0.0:7003", "0.0.0.0:7004")
	s := startSidecar(w, limitedText(""), asSidecar(redirect))
	const limit, size = 10, 60
	t.Run("connection_limit", func(t *testing.T) {
		s := s.in(t)
		label := prefixed("connection_limit", "places")
		for round := 1; round <= 2; round++ {
			c := gather(s.w, podIP+":7001", size)
			if len(c.served) != limit || c.reset != size-limit {
				t.Errorf("round %d: %d served, %d reset; want %d and %d", round, len(c.served), c.reset, limit, size-limit)
			}
			s.waitMetric(float64(round*(size-limit)), "envoy_connection_limit_limited_connections", label)
			s.waitMetric(limit, "envoy_connection_limit_active_connections", label)
			for _, r := range s.waitRecords(round*(size-limit), isDetails("over_connection_limit")) {
				if r.ending() != (ending{"proxy", "overflow", "-"}) || r.Chain != "places" || r.ConnectAttempts != 0 {
					t.Errorf("record %+v", r)
				}
			}
			c.leave()
			s.waitMetric(0, "envoy_connection_limit_active_connections", label)
		}
	})
	t.Run("local_rate_limit", func(t *testing.T) {
		s := s.in(t)
		c := gather(s.w, podIP+":7002", size)
		if len(c.served) != limit || c.reset != size-limit {
			t.Errorf("%d served, %d reset; want %d and %d", len(c.served), c.reset, limit, size-limit)
		}
		s.waitMetric(size-limit, "envoy_local_rate_limit_rate_limited", prefixed("local_network_ratelimit", "tokens"))
		for _, r := range s.waitRecords(size-limit, isDetails("local_ratelimit_close_over_limit")) {
			if r.ending() != (ending{"proxy", "rate_limited", "URX"}) || r.Chain != "tokens" || r.ConnectAttempts != 0 {
				t.Errorf("record %+v", r)
			}
		}
		c.leave()
		if c := gather(s.w, podIP+":7002", 1); c.reset != 1 {
			t.Error("a token came back with a connection's end")
		}
	})
	t.Run("bucket fills", func(t *testing.T) { bucketFills(s.in(t)) })
	t.Run("silent client", func(t *testing.T) { silentIsDenied(s.in(t)) })
}

// bucketFills empties a bucket, and waits for a token to come.
func bucketFills(s *sidecar) {
	refused := 0
	come := func(size int) (served int) {
		c := gather(s.w, podIP+":7003", size)
		refused += c.reset
		c.leave()
		return len(c.served)
	}
	s.w.eventually(func() error {
		if come(20); refused == 0 {
			return errors.New("none was refused")
		}
		return nil
	})
	s.w.eventually(func() error {
		if come(1) == 0 {
			return errors.New("no token has come")
		}
		return nil
	})
	s.waitMetric(float64(refused), "envoy_local_rate_limit_rate_limited", prefixed("local_network_ratelimit", "filled"))
}

// silentIsDenied: a client that says nothing may send any name later, so a rule
// about names refuses it when the time for its ClientHello is over.
func silentIsDenied(s *sidecar) {
	conn := dialFrom(s.w, s.w.client, colleagueIP+":20000", podIP+":7004")
	if _, _, err := talk(conn); !errors.Is(err, syscall.ECONNRESET) {
		s.w.Errorf("the silent client sees %v, want a reset", err)
	}
	r := s.ended(conn)
	if r.ending() != (ending{"proxy", "rbac_denied", "-"}) || r.Details != "rbac_access_denied_matched_policy[bad]" {
		s.w.Errorf("record %+v", r)
	}
	s.waitMetric(1, "envoy_rbac_denied", prefixed("rbac", "names"))
	s.waitMetric(1, "sluice_inspection_total", `result="timed_out"`)
}

// TestSourceLimit fills up the places of one source; another's are free, and
// what ends makes room.
func TestSourceLimit(t *testing.T) {
	t.Parallel()
	w := newPolicyWorld(t)
	serveGreeting(w, w.pod, "0.0.0.0:7000", "0.0.0.0:7001")
	const limit, size = 8, 40
	s := startSidecar(w, limitedText(fmt.Sprintf("limits: {max_connections_per_source: %d}\n", limit)), asSidecar(redirect))
	for round := 1; round <= 2; round++ {
		c := gather(w, podIP+":7000", size)
		if len(c.served) != limit || c.reset != size-limit {
			t.Errorf("round %d: %d served, %d reset; want %d and %d", round, len(c.served), c.reset, limit, size-limit)
		}
		s.waitMetric(float64(round*(size-limit)), "sluice_listener_source_overflow_total")
		for _, r := range s.waitRecords(round*(size-limit), isDetails("over_connection_limit_per_source")) {
			if r.ending() != (ending{"proxy", "overflow", "-"}) || r.Chain != "" || host(r.Remote) != clientIP {
				t.Errorf("record %+v", r)
			}
		}
		other := dialFrom(w, w.client, net.JoinHostPort(colleagueIP, fmt.Sprint(20000+round)), podIP+":7001")
		if _, _, err := talk(other); err != nil {
			t.Errorf("another source: %v", err)
		}
		other.Close()
		c.leave()
		s.waitIdle()
	}
}
