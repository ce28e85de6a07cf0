package test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// appHealthText has ports that are learned in each way, and ports that are
// listed.
func appHealthText() string {
	const check = "interval: 50ms, timeout: 200ms"
	return head + quickDrain + `
app_health:
  learn: true
  check: {type: tcp, ` + check + `, tcp: {expect_reaction: true}}
  ports:
  - {port: 8080, check: {type: http, ` + check + `, http: {path: /healthz}}}
  - {port: 7005, address: "` + podIP + `:7005", check: {type: tcp, ` + check + `, tcp: {expect_reaction: true}}}
  - {port: 7006, check: {type: tcp, ` + check + `, tcp: {expect_reaction: false}}}
  - {port: 7007, check: {type: tcp, ` + check + `, tcp: {expect_reaction: true}}}
listeners:
- name: virtualInbound
  address: 0.0.0.0:15006
  direction: inbound
  interception_mode: redirect
  filter_chains:
  - {match: {destination_port: 9080}, tcp_proxy: {cluster: inbound}}
  - {match: {destination_port: 7001}, tcp_proxy: {cluster: inbound}}
  - {match: {destination_port: 7002}, tcp_proxy: {cluster: inbound}}
  - {match: {destination_port: 9443}, tcp_proxy: {cluster: overridden}}
  - {match: {destination_port: 9444}, tcp_proxy: {cluster: static}}
- name: virtualOutbound
  address: 0.0.0.0:15001
  direction: outbound
  interception_mode: redirect
  filter_chains:
  - {match: {destination_port: 9999}, tcp_proxy: {cluster: passthrough}}
clusters:
- {name: inbound, type: original_dst, upstream_bind_address: 127.0.0.6}
- {name: overridden, type: original_dst, upstream_port_override: 7003, upstream_bind_address: 127.0.0.6}
- {name: static, upstream_bind_address: 127.0.0.6, endpoints: [{address: "127.0.0.1:7004"}]}
- {name: passthrough, type: original_dst}
`
}

// TestAppHealth asks a sidecar for each kind of port.
func TestAppHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	serveGreeting(w, w.pod, "0.0.0.0:9080", "[::1]:7001", "127.0.0.1:7003", "127.0.0.1:7004", podIP+":7005")
	over := make(chan struct{})
	hold := func(*net.TCPConn) { <-over }
	serve(w, w.pod.Listen("tcp", "0.0.0.0:7006"), hold)
	serve(w, w.pod.Listen("tcp", "0.0.0.0:7007"), hold)
	t.Cleanup(func() { close(over) })
	status := new(atomic.Int32)
	status.Store(http.StatusOK)
	servePages(w, w.pod, "0.0.0.0:8080", func(answer http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			answer.WriteHeader(int(status.Load()))
		}
	})
	s := startSidecar(w, appHealthText(), launch{uid: sidecarID, checks: 18})
	const refused = "connection refused"
	for _, tc := range []struct {
		name   string
		port   any
		status int
		body   []string
	}{
		{"learned", 9080, 200, []string{"healthy"}},
		{"learned, IPv6 only", 7001, 200, []string{"healthy"}},
		{"learned, nobody listens", 7002, 503, []string{"127.0.0.1:7002: " + refused, "[::1]:7002: " + refused}},
		{"learned, at another port", 9443, 200, nil},
		{"learned, at an endpoint", 9444, 200, nil},
		{"listed, at an address", 7005, 200, nil},
		{"listed, reacts to no FIN and need not", 7006, 200, nil},
		{"listed, reacts to no FIN", 7007, 503, []string{"127.0.0.1:7007: connected, but neither bytes nor a FIN", "within 200ms"}},
		{"listed, HTTP", 8080, 200, nil},
		{"of an outbound chain", 9999, 404, []string{"not checked here"}},
		{"the port behind", 7003, 404, nil},
		{"unknown", 1, 404, nil},
		{"no port", 65536, 404, nil},
		{"no number", "http", 404, []string{`"http"`}},
		{"nothing", "", 404, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := s.in(t)
			s.w.eventually(func() error {
				status, body := s.appHealth(w.client, podIP, tc.port)
				if status != tc.status {
					return fmt.Errorf("status %d, want %d: %s", status, tc.status, body)
				}
				for _, part := range tc.body {
					if !strings.Contains(body, part) {
						return fmt.Errorf("body %q, want %q in it", body, part)
					}
				}
				return nil
			})
		})
	}
	t.Run("HTTP says no", func(t *testing.T) {
		s := s.in(t)
		for _, step := range []struct {
			application int32
			want        int
			body        string
		}{{500, 503, "500"}, {200, 200, "healthy"}} {
			status.Store(step.application)
			s.w.eventually(func() error {
				if got, body := s.appHealth(w.client, podIP, 8080); got != step.want || !strings.Contains(body, step.body) {
					return fmt.Errorf("status %d, body %q", got, body)
				}
				return nil
			})
		}
	})
}

// servePages serves HTTP on a host, HTTP/2 without TLS included, until the test
// ends.
func servePages(w *world, h *testnet.Host, address string, handler http.HandlerFunc) {
	w.Helper()
	server := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	l, done := h.Listen("tcp", address), make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ErrServerClosed
	}()
	w.Cleanup(func() {
		server.Close()
		<-done
	})
}

// TestTwoStageExample runs configs/two-stage.yaml in two pods: what the one says
// about its application, the other's cluster believes.
func TestTwoStageExample(t *testing.T) {
	t.Parallel()
	w := newMeshWorld(t)
	own := ownService(9080)
	app := own.start(w, w.client)
	own.start(w, w.remote)
	text := exampleText(w, "two-stage.yaml") + "drain: {time: 10s, min_time: 0s, strategy: immediate}\n"
	m := &mesh{world: w}
	// A check of one's own pod comes in through virtualInbound and stays open.
	without := func(ip string) string { return strings.Replace(text, "  - address: "+ip+":9080\n", "", 1) }
	m.first = startSidecar(w, without(firstIP), launch{host: w.client, uid: sidecarID, checks: 3})
	m.second = startSidecar(w, without(secondIP), launch{host: w.remote, uid: sidecarID, checks: 3})
	m.caller = startSidecar(w, text, launch{uid: sidecarID, checks: 4})
	const cluster = "outbound|9080||ratings.default.svc.cluster.local"
	m.waitHealthy(2, cluster)
	if by := m.servedBy(own, stagedVIP, 2); by[firstIP] != 1 {
		t.Errorf("before, connections are served by %v", by)
	}
	app.Kill()
	m.waitHealthy(1, cluster)
	if by := m.servedBy(own, stagedVIP, 4); by[secondIP] != 4 {
		t.Errorf("meanwhile, connections are served by %v", by)
	}
	own.start(w, w.client)
	m.waitHealthy(2, cluster)
}
