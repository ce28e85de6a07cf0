package test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// cold is a sidecar whose cluster named waits for a name server that says
// nothing; static needs nobody.
func cold(w *world, server *nameserver, l launch) *sidecar {
	w.Helper()
	server.set(naming{fault: silence}, "ratings.example.")
	static := gateway{name: "static", port: 20001, endpoints: []string{remoteIP + ":7000"}}
	s := newSidecar(w, gatewayText(quickDrain, named("named", "ratings.example.", 20000, ""), static), l)
	s.waitState("INITIALIZING")
	return s
}

// waitState waits until sluice says at all its ports that it is not ready, and
// why.
func (s *sidecar) waitState(state string) {
	s.w.Helper()
	s.w.eventually(func() error {
		for _, url := range []string{"http://127.0.0.1:15021/healthz/ready", "http://127.0.0.1:15000/ready"} {
			status, body, err := s.get(s.host, url)
			if err != nil {
				return err
			}
			if status != http.StatusServiceUnavailable || !strings.Contains(body, state) {
				return fmt.Errorf("%s says %d, %q", url, status, body)
			}
		}
		return nil
	})
}

// TestColdStart starts while DNS is dead. Who connects meanwhile waits, and is
// served as soon as the start goes on without that name; the name is found when
// DNS is back.
func TestColdStart(t *testing.T) {
	t.Parallel()
	w, server := newDNSWorld(t)
	s := cold(w, server, resolving(w, "options timeout:5 attempts:5\n", 1))
	early := dial(w, w.client, podIP+":20001")
	if live := s.metrics().sum("envoy_server_live"); live != 0 {
		t.Errorf("envoy_server_live is %v", live)
	}

	if by, _, err := talk(early); err != nil || host(by) != remoteIP {
		t.Errorf("the one who waited is served by %s, %v", by, err)
	}
	early.Close()
	s.settle()
	if lines := grep(s.process.Log(), "not all names are resolved", `"cluster":"named"`); len(lines) != 1 {
		t.Errorf("the log has %d lines about the cold start", len(lines))
	}
	if r := refused(s, w.client, podIP+":20000"); r.ending() != (ending{"proxy", "connect_failed", "UH"}) {
		t.Errorf("a connection to a name that is not known: %+v", r.ending())
	}
	s.waitServed(20001, remoteIP)
	server.set(naming{a: []string{remoteIP2}, ttl: 60}, "ratings.example.")
	s.waitServed(20000, remoteIP2)
}

// TestStartWithoutNameserver starts where nobody listens at the name server's
// address: that is known at once, and nothing waits.
func TestStartWithoutNameserver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.remote.AddAddr("eth0", nameserverIP+"/24")
	serveGreeting(w, w.remote, "0.0.0.0:7000")
	static := gateway{name: "static", port: 20001, endpoints: []string{remoteIP + ":7000"}}
	s := startSidecar(w, gatewayText(quickDrain, named("named", "ratings.example.", 20000, ""), static), launch{uid: sidecarID, checks: 4})
	s.waitServed(20001, remoteIP)
	if lines := grep(s.process.Log(), "not all names are resolved"); len(lines) > 0 {
		t.Errorf("the start has waited: %s", lines)
	}
	if lines := s.dnsLines("named", "failing"); len(lines) != 1 || !strings.Contains(lines[0], "connection refused") {
		t.Errorf("the log says %s", lines)
	}
	server := newNameserver(w, w.remote, nameserverIP)
	server.set(naming{a: []string{remoteIP2}, ttl: 60}, "ratings.example.")
	s.waitServed(20000, remoteIP2)
}

// TestWarmByHealthChecks starts while an endpoint answers no check.
func TestWarmByHealthChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dropPort(w.remote, silentPort)
	serveGreeting(w, w.remote, "0.0.0.0:7000")
	const check = "health_checks: [{type: tcp, interval: 100ms, timeout: 3s, no_traffic_interval: 100ms}]"
	s := newSidecar(w, gatewayText(quickDrain, gateway{name: "checked", port: 20000, cluster: check,
		endpoints: []string{fmt.Sprintf("%s:%d", remoteIP, silentPort), remoteIP2 + ":7000"}}), launch{uid: sidecarID, checks: 2})
	s.waitState("INITIALIZING")
	early := dial(w, w.client, podIP+":20000")
	by, _, err := talk(early)
	if err != nil || host(by) != remoteIP2 {
		t.Errorf("the one who waited is served by %s, %v", by, err)
	}
	early.Close()
	s.waitReady()
	if r := s.ended(early); r.ConnectAttempts != 1 {
		t.Errorf("the endpoint that answers no check was tried: %+v", r)
	}
	if lines := grep(s.process.Log(), "not all names are resolved"); len(lines) > 0 {
		t.Errorf("the log says %s", lines)
	}
	s.settle()
}

// TestStopWhileWarming ends sluice, in each way, while it waits for DNS: at once
// and cleanly.
func TestStopWhileWarming(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		stop func(s *sidecar)
	}{
		{"SIGTERM", func(s *sidecar) { s.signal(syscall.SIGTERM) }},
		{"SIGINT", func(s *sidecar) { s.signal(syscall.SIGINT) }},
		{"quitquitquit", func(s *sidecar) {
			s.host.Run("curl", "-sSf", "-X", "POST", "http://127.0.0.1:15000/quitquitquit")
		}},
		{"SIGUSR1 first", func(s *sidecar) {
			s.signal(syscall.SIGUSR1)
			s.process.WaitLog("access logs reopened")
			s.signal(syscall.SIGTERM)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			testnet.Need(t, "curl")
			w, server := newDNSWorld(t)
			s := cold(w, server, resolving(w, "options timeout:30 attempts:5\n", 1))
			early := dial(w, w.client, podIP+":20001")
			tc.stop(s)
			if status := s.waitEnd(); status != 0 {
				t.Errorf("sluice ended with status %d:\n%s", status, s.process.Log())
			}
			s.checkLog()
			wantReset(t, early)
			wantText(t, s.process.Log(), "stopped before it was ready")
			for _, bad := range []string{"not all names are resolved", `"msg":"ready"`} {
				if strings.Contains(s.process.Log(), bad) {
					t.Errorf("sluice went on to start: %q", bad)
				}
			}
			w.pod.Listen("tcp", podIP+":20001") // the ports are free again
		})
	}
}
