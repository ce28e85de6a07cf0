package test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// The ports of what TestHealthChecks checks.
const (
	webPort, redisPort, grpcPort       = 8080, 6379, 50051
	endlessPort, headersPort, slowPort = 8101, 8102, 8103
)

// checkCase is a cluster of one endpoint with one kind of check.
type checkCase struct {
	name   string
	port   int
	check  string // without the intervals
	state  string // what is to come of it
	reason string // why, in the log
}

func checkCases() []checkCase {
	const healthy, degraded, unhealthy = "healthy", "degraded", "unhealthy"
	page := func(name, path, more, state, reason string) checkCase {
		return checkCase{"http-" + name, webPort, "type: http, http: {path: " + path + more + "}", state, reason}
	}
	grpc := func(name, service, state, reason string) checkCase {
		return checkCase{"grpc-" + name, grpcPort, "type: grpc, grpc: {service_name: \"" + service + "\"}", state, reason}
	}
	return []checkCase{
		page("200", "/ok", "", healthy, ""),
		page("204", "/204", "", unhealthy, "204"),
		page("204-expected", "/204", `, expected_statuses: ["200-299"]`, healthy, ""),
		page("301", "/301", "", unhealthy, "301"),
		page("301-expected", "/301", `, expected_statuses: ["200", "301"]`, healthy, ""),
		page("404", "/nowhere", "", unhealthy, "404"),
		page("503", "/503", "", unhealthy, "503"),
		page("head", "/ok", ", method: HEAD", healthy, ""),
		page("host", "/host", ", host: ratings.example", healthy, ""),
		page("other-host", "/host", ", host: reviews.example", unhealthy, "421"),
		page("header", "/header", `, headers: [{name: x-probe, value: sluice}]`, healthy, ""),
		page("no-header", "/header", "", unhealthy, "403"),
		page("degraded", "/degraded", "", degraded, ""),
		page("fails-at-once", "/fail", "", unhealthy, "x-envoy-immediate-health-check-fail"),
		{"http-refused", 8199, "type: http", unhealthy, "refused"},
		{"http-of-another", redisPort, "type: http, http: {path: /}", unhealthy, ""},
		{"endless-body", endlessPort, "type: http", healthy, ""},
		{"endless-headers", headersPort, "type: http", unhealthy, "16"},
		{"one-byte-at-a-time", slowPort, "type: http", unhealthy, "within 1s"},
		{"tcp", redisPort, "type: tcp", healthy, ""},
		{"tcp-refused", 8199, "type: tcp", unhealthy, "refused"},
		{"ping", redisPort, "type: tcp, unhealthy_threshold: 1, tcp: " + pingPong, healthy, ""},
		{"ping-of-web", webPort, "type: tcp, tcp: " + pingPong, unhealthy, ""},
		{"reaction", redisPort, "type: tcp, unhealthy_threshold: 1, tcp: {expect_reaction: true}", healthy, ""},
		grpc("server", "", healthy, ""),
		grpc("serving", "ratings", healthy, ""),
		grpc("not-serving", "reviews", unhealthy, "NOT_SERVING"),
		grpc("unknown", "details", unhealthy, ""),
		{"grpc-of-web", webPort, "type: grpc", unhealthy, ""},
		{"grpc-of-redis", redisPort, "type: grpc", unhealthy, ""},
	}
}

// pingPong is a check in redis's own words.
var pingPong = fmt.Sprintf("{send: %q, receive: [%q]}", hex.EncodeToString([]byte("PING\r\n")), hex.EncodeToString([]byte("+PONG\r\n")))

const checkTimes = ", interval: 100ms, timeout: 5s, no_traffic_interval: 100ms"

// times are checkTimes, but where the timeout is what must come.
func (c checkCase) times() string {
	if c.port == slowPort {
		return strings.Replace(checkTimes, "timeout: 5s", "timeout: 1s", 1)
	}
	return checkTimes
}

// TestHealthChecks has servers nobody here wrote, and some nobody should have
// written, checked in each way.
func TestHealthChecks(t *testing.T) {
	t.Parallel()
	testnet.Need(t, "nginx", "redis-server")
	w := newWorld(t)
	runNginx(newPlace(w, w.remote, "web"), checkedPages()).WaitListen(webPort)
	redis := startRedis(newPlace(w, w.remote, "redis"), redisPort)
	serveGRPCHealth(w, w.remote, fmt.Sprintf("%s:%d", remoteIP, grpcPort))
	serveBadly(w)
	var gateways []gateway
	for i, tc := range checkCases() {
		gateways = append(gateways, gateway{name: tc.name, port: 20000 + i, endpoints: []string{fmt.Sprintf("%s:%d", remoteIP, tc.port)},
			cluster: "health_checks: [{" + tc.check + tc.times() + "}]"})
	}
	s := startSidecar(w, gatewayText(quickDrain, gateways...), launch{uid: sidecarID, checks: len(gateways)})
	for _, tc := range checkCases() {
		t.Run(tc.name, func(t *testing.T) { checkOf(s.in(t), tc) })
	}
	t.Run("a server that hangs", func(t *testing.T) {
		s := s.in(t)
		redis.Signal(syscall.SIGSTOP)
		for _, cluster := range []string{"ping", "reaction"} {
			s.waitMetric(0, "envoy_cluster_membership_healthy", ofCluster(cluster))
		}
		s.waitMetric(1, "envoy_cluster_membership_healthy", ofCluster("tcp"))
		redis.Signal(syscall.SIGCONT)
		for _, cluster := range []string{"ping", "reaction"} {
			s.waitMetric(1, "envoy_cluster_membership_healthy", ofCluster(cluster))
		}
	})
}

// checkOf looks at what came of a check: in the metrics, /clusters and the log,
// where it stands once, however often it was made.
func checkOf(s *sidecar, tc checkCase) {
	s.w.Helper()
	values := map[string][2]float64{"healthy": {1, 0}, "degraded": {0, 1}, "unhealthy": {0, 0}}[tc.state]
	s.waitMetric(values[0], "envoy_cluster_membership_healthy", ofCluster(tc.name))
	s.waitMetric(values[1], "envoy_cluster_membership_degraded", ofCluster(tc.name))
	result, other := "envoy_cluster_health_check_success", "envoy_cluster_health_check_failure"
	if tc.state == "unhealthy" {
		result, other = other, result
	}
	s.w.eventually(func() error {
		now := s.metrics()
		if good, bad := now.sum(result, ofCluster(tc.name)), now.sum(other, ofCluster(tc.name)); good < 3 || bad > 0 {
			return fmt.Errorf("%s is %v, %s is %v", result, good, other, bad)
		}
		return nil
	})
	lines := s.logLines("health of an endpoint changed", tc.name)
	if want := map[string]int{"degraded": 2}[tc.state]; len(lines) != max(1, want) {
		s.w.Errorf("the log has %d lines: %v", len(lines), lines)
	}
	wantText(s.w, fmt.Sprint(lines), tc.reason)
}

// checkedPages is a server block of nginx with a page for each answer.
func checkedPages() string {
	return fmt.Sprintf(`listen %d;
    location /ok { return 200 ok; }
    location /204 { return 204; }
    location /301 { return 301 /ok; }
    location /503 { return 503; }
    location /host { if ($host != ratings.example) { return 421; } return 200 ok; }
    location /header { if ($http_x_probe != sluice) { return 403; } return 200 ok; }
    location /degraded { add_header x-envoy-degraded "true"; return 200 ok; }
    location /fail { add_header x-envoy-immediate-health-check-fail "true"; return 200 ok; }
    location / { return 404; }`, webPort)
}

// startRedis runs a server without a password.
func startRedis(p *place, port int) *testnet.Process {
	p.Helper()
	server := p.host.Start("redis-server", "--port", fmt.Sprint(port), "--bind", "0.0.0.0", "--protected-mode", "no",
		"--save", "", "--dir", p.dir)
	server.WaitListen(uint16(port))
	return server
}

// serveBadly runs servers whose answers have no end: in the body, in the
// headers, or because each byte lets one wait for the next.
func serveBadly(w *world) {
	w.Helper()
	const begin = "HTTP/1.1 200 OK\r\n"
	flood := func(first, more string) func(*net.TCPConn) {
		return func(conn *net.TCPConn) {
			_, err := io.WriteString(conn, first)
			for err == nil {
				_, err = io.WriteString(conn, more)
			}
		}
	}
	line := "x-more: " + fmt.Sprintf("%01000d", 1) + "\r\n"
	at := func(port int) net.Listener { return w.remote.Listen("tcp", fmt.Sprintf("%s:%d", remoteIP, port)) }
	serve(w, at(endlessPort), flood(begin+"Content-Length: 1000000000000\r\n\r\n", fmt.Sprintf("%01000d", 1)))
	serve(w, at(headersPort), flood(begin, line))
	serve(w, at(slowPort), func(conn *net.TCPConn) {
		tick := time.NewTicker(250 * time.Millisecond) // no stall makes the whole answer come within a timeout
		defer tick.Stop()
		for _, b := range []byte(begin + "Content-Length: 0\r\n\r\n") {
			<-tick.C
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
		}
	})
}

// logLines are the lines of sluice's own log that have all parts.
func (s *sidecar) logLines(message, cluster string) []string {
	s.w.Helper()
	return grep(s.process.Log(), fmt.Sprintf("%q", message), fmt.Sprintf(`"cluster":%q`, cluster))
}

// grep returns the lines of a text that have all the parts.
func grep(text string, parts ...string) []string {
	var found []string
next:
	for line := range strings.Lines(text) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}
