package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// dropPort has the host answer nothing on a port, not even refuse.
func dropPort(h *testnet.Host, port int) {
	h.Run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", fmt.Sprint(port), "-j", "DROP")
}

const silentPort, closedPort, openPort = 7100, 7200, 7000

// TestConnectFails has endpoints that refuse or say nothing, and others behind
// them.
func TestConnectFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.remote, fmt.Sprintf("0.0.0.0:%d", openPort))
	dropPort(w.remote, silentPort)
	at := func(ip string, port int) string { return fmt.Sprintf("%s:%d", ip, port) }
	up, refuses, silent := at(remoteIP2, openPort), at(remoteIP, closedPort), at(remoteIP, silentPort)
	s := startSidecar(w, gatewayText(quickDrain,
		gateway{name: "second-refuses", port: 8081, endpoints: []string{refuses, up}},
		gateway{name: "second-silent", port: 8082, endpoints: []string{silent, up}, cluster: "connect_timeout: 200ms"},
		gateway{name: "all-refuse", port: 8083, endpoints: []string{refuses, at(remoteIP2, closedPort), at(remoteIP, closedPort+1), at(remoteIP2, closedPort+1)}},
		gateway{name: "both-refuse", port: 8084, endpoints: []string{refuses, at(remoteIP2, closedPort)}},
		gateway{name: "silent", port: 8085, endpoints: []string{silent}, cluster: "connect_timeout: 200ms", tcp: "max_connect_attempts: 1"},
		gateway{name: "nobody", port: 8086},
		gateway{name: "unreachable", port: 8087, endpoints: []string{"10.99.0.1:7000"}, tcp: "max_connect_attempts: 1"},
	), asSidecar(redirect))

	for _, tc := range []struct {
		gateway string
		port    int
		reason  string
	}{{"second-refuses", 8081, "connection refused"}, {"second-silent", 8082, ""}} {
		t.Run(tc.gateway, func(t *testing.T) {
			s := s.in(t)
			attempts := 0
			for range 4 {
				server, _, r := converse(s, w.client, at(podIP, tc.port))
				if server != up || r.UpstreamHost != up || r.ending() != byClient || r.Failure != "" {
					t.Errorf("served by %s, record %+v", server, r)
				}
				attempts += r.ConnectAttempts
			}
			if attempts <= 4 || attempts > 8 {
				t.Errorf("4 connections took %d attempts: the failing endpoint was not tried, or tried again", attempts)
			}
			s.waitMetric(float64(attempts-4), "envoy_cluster_upstream_cx_connect_fail", ofCluster(tc.gateway))
			s.waitMetric(float64(attempts), "envoy_cluster_upstream_cx_total", ofCluster(tc.gateway))
		})
	}
	for _, tc := range []struct {
		gateway  string
		port     int
		want     ending
		attempts int
		errno    string
	}{
		{"all-refuse", 8083, ending{"upstream", "connect_failed", "UF,URX"}, 3, "ECONNREFUSED"},
		{"both-refuse", 8084, ending{"upstream", "connect_failed", "UF"}, 2, "ECONNREFUSED"},
		{"silent", 8085, ending{"proxy", "connect_timeout", "UF,URX"}, 1, ""},
		{"nobody", 8086, ending{"proxy", "connect_failed", "UH"}, 0, ""},
	} {
		t.Run(tc.gateway, func(t *testing.T) {
			s := s.in(t)
			r := refused(s, w.client, at(podIP, tc.port))
			if r.ending() != tc.want || r.ConnectAttempts != tc.attempts || r.Errno != tc.errno || r.Failure == "" {
				t.Errorf("record %+v", r)
			}
			if tc.attempts == 0 {
				s.waitMetric(1, "envoy_cluster_upstream_cx_none_healthy", ofCluster(tc.gateway))
				return
			}
			s.waitMetric(float64(tc.attempts), "envoy_cluster_upstream_cx_connect_fail", ofCluster(tc.gateway))
			exceeded := 0.0
			if strings.HasSuffix(tc.want.flags, "URX") {
				exceeded = 1
			}
			s.waitMetric(exceeded, "envoy_cluster_upstream_cx_connect_attempts_exceeded", ofCluster(tc.gateway))
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		w.pod.Run("ip", "route", "add", "unreachable", "10.99.0.0/24")
		r := refused(s.in(t), w.client, at(podIP, 8087))
		if r.Reason != "connect_failed" || r.Flags != "UF,URX" || r.Errno != "EHOSTUNREACH" {
			t.Errorf("record %+v", r)
		}
	})
}

// TestDeadServiceIsNoSuccess captures a connection to a port where nobody
// listens: the client must learn at once (istio/istio#44248).
func TestDeadServiceIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, mode := range []capture{redirect, tproxy} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t)
			w.applyRules(mode)
			s := startSidecar(w, sidecarText(settings{mode: mode}), asSidecar(mode))
			for _, tc := range []struct {
				name    string
				from    *testnet.Host
				address string
			}{{"inbound", w.client, podIP + ":7200"}, {"outbound", w.pod, remoteIP + ":7200"}, {"inbound IPv6", w.client, "[" + podIP6 + "]:7200"}} {
				t.Run(tc.name, func(t *testing.T) {
					r := refused(s.in(t), tc.from, tc.address)
					if r.ending() != (ending{"upstream", "connect_failed", "UF"}) || r.ConnectAttempts != 1 || r.Local != tc.address {
						t.Errorf("record %+v", r)
					}
				})
			}
		})
	}
}

// TestClientLeavesDuringConnect resets, ends and talks while sluice still
// waits for the endpoint.
func TestClientLeavesDuringConnect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dropPort(w.remote, silentPort)
	s := startSidecar(w, gatewayText(quickDrain,
		gateway{name: "silent", port: 8081, endpoints: []string{fmt.Sprintf("%s:%d", remoteIP, silentPort)}, cluster: "connect_timeout: 1h"},
		gateway{name: "impatient", port: 8082, endpoints: []string{fmt.Sprintf("%s:%d", remoteIP, silentPort)}, cluster: "connect_timeout: 3s"},
	), asSidecar(redirect))
	for _, early := range []string{"", "some bytes before"} {
		conn := dial(w, w.client, podIP+":8081")
		write(t, conn, []byte(early))
		waitSent(w, conn)
		s.waitMetric(1, "envoy_cluster_upstream_cx_active", ofCluster("silent"))
		reset(conn)
		if r := s.ended(conn); r.ending() != (ending{"downstream", "rst", "DC"}) || r.ConnectAttempts != 1 {
			t.Errorf("record %+v", r)
		}
		s.waitMetric(0, "envoy_cluster_upstream_cx_active", ofCluster("silent"))
	}
	conn := dial(w, w.client, podIP+":8082")
	write(t, conn, []byte("bye"))
	conn.CloseWrite()
	wantReset(t, conn)
	if r := s.ended(conn); r.Reason != "connect_timeout" {
		t.Errorf("record %+v", r)
	}
}

// TestEarlyBytes has a client send before its endpoint has answered; nothing
// of it may get lost.
func TestEarlyBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := newWay(w, "", w.client, w.remote, remoteIP+":7000")
	dropPort(w.remote, silentPort)
	s := startSidecar(w, gatewayText(quickDrain, gateway{name: "late", port: 8081, cluster: "connect_timeout: 300ms",
		endpoints: []string{fmt.Sprintf("%s:%d", remoteIP, silentPort), fmt.Sprintf("%s:%d", remoteIP2, silentPort), remoteIP + ":7000"}}), asSidecar(redirect))
	for i := range uint64(3) {
		data := patternBytes(i, 40<<10)
		conn := dial(w, w.client, podIP+":8081")
		write(t, conn, data)
		conn.CloseWrite()
		select {
		case server := <-v.accepted:
			if got := wantEnd(t, server); string(got) != string(data) {
				t.Errorf("%d bytes arrived, not the %d sent", len(got), len(data))
			}
			server.Close()
		case <-time.After(patience):
			t.Fatal("the connection does not arrive")
		}
		wantEnd(t, conn)
		if r := s.ended(conn); r.BytesReceived != int64(len(data)) || r.ending() != byClient {
			t.Errorf("record %+v", r)
		}
	}
}
