package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNobodyToPick has clusters without endpoints, and with none that may be
// used: each connection is reset at once, counted, and not logged by the daemon.
func TestNobodyToPick(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	servers, addresses := newServers(w, 2)
	unhealthy := spots(addresses, "health_status: unhealthy")
	s := startSidecar(w, poolText(quickDrain, []gateway{
		{name: "empty", port: 8081},
		{name: "never", port: 8082, cluster: "healthy_panic_threshold: 0"},
		{name: "fails", port: 8083, cluster: "fail_traffic_on_panic: true"},
		{name: "panic", port: 8084},
		{name: "draining", port: 8085, cluster: "healthy_panic_threshold: 0"},
		{name: "checked", port: 8086, cluster: "healthy_panic_threshold: 0\n  " + quickCheck(closedPort)},
	}, nil, unhealthy, unhealthy, unhealthy, spots(addresses, "health_status: draining"), spots(addresses, "")), asSidecar(redirect))
	const n = 20
	logged := len(s.process.Log())
	for _, tc := range []struct {
		name    string
		port    int
		members float64
		panic   bool
	}{{"empty", 8081, 0, false}, {"never", 8082, 2, false}, {"fails", 8083, 2, true}, {"draining", 8085, 2, false}, {"checked", 8086, 2, false}} {
		t.Run(tc.name, func(t *testing.T) {
			s := s.in(t)
			for range n {
				r := refused(s, w.client, fmt.Sprintf("%s:%d", podIP, tc.port))
				if r.ending() != (ending{"proxy", "connect_failed", "UH"}) || r.ConnectAttempts != 0 || r.UpstreamHost != "" || !strings.Contains(r.Failure, tc.name) {
					t.Errorf("record %+v", r)
				}
			}
			of := ofCluster(tc.name)
			s.waitMetric(n, "envoy_cluster_upstream_cx_none_healthy", of)
			s.waitMetric(0, "envoy_cluster_upstream_cx_total", of)
			s.waitMetric(tc.members, "envoy_cluster_membership_total", of)
			s.waitMetric(0, "envoy_cluster_membership_healthy", of)
			panics := 0.0
			if tc.panic {
				panics = n
			}
			s.waitMetric(panics, "envoy_cluster_lb_healthy_panic", of)
		})
	}
	served := tally(w, w.client, podIP+":8084", n)
	if served[servers[0].address]+served[servers[1].address] != n {
		t.Errorf("in panic served by %v", served)
	}
	s.waitMetric(n, "envoy_cluster_lb_healthy_panic", ofCluster("panic"))
	if more := s.process.Log()[logged:]; more != "" {
		t.Errorf("the daemon's log has lines about connections:\n%s", more)
	}
}

// TestBadPools has validate and run refuse what makes no sense of a cluster, with
// the line.
func TestBadPools(t *testing.T) {
	t.Parallel()
	const before = "listeners:\n- name: l\n  address: 127.0.0.1:8081\n  default_filter_chain: {tcp_proxy: {cluster: a}}\nclusters:\n- name: a\n"
	for _, tc := range []struct{ name, keys, says string }{
		{"duplicate", "  endpoints:\n  - {address: 10.4.1.12:9080}\n  - {address: 10.4.1.13:9080}\n  - {address: 10.4.1.12:9080}\n",
			":10: clusters[0].endpoints[2].address: 10.4.1.12:9080 is already endpoints[0]"},
		{"duplicate in another priority", "  endpoints:\n  - {address: 10.4.1.12:9080}\n  - {address: 10.4.1.12:9080, priority: 1}\n",
			":9: clusters[0].endpoints[1].address: 10.4.1.12:9080 is already endpoints[0]"},
		{"mapped duplicate", "  endpoints:\n  - {address: 10.4.1.12:9080}\n  - {address: \"[::ffff:10.4.1.12]:9080\"}\n",
			":9: clusters[0].endpoints[1].address: "},
		{"weight 0", "  endpoints:\n  - {address: 10.4.1.12:9080, weight: 0}\n", ":8: clusters[0].endpoints[0].weight: must be at least 1, not 0"},
		{"weight below 0", "  endpoints:\n  - {address: 10.4.1.12:9080, weight: -1}\n", ":8: clusters[0].endpoints[0].weight: "},
		{"weights too large", "  endpoints:\n  - {address: 10.4.1.12:9080, weight: 4294967295}\n  - {address: 10.4.1.13:9080, weight: 1}\n", ": clusters[0].endpoints: "},
		{"locality weights differ", "  endpoints:\n  - {address: 10.4.1.12:9080, locality_weight: 1}\n  - {address: 10.4.1.13:9080, locality_weight: 2}\n",
			":9: clusters[0].endpoints[1].locality_weight: must be the same"},
		{"priority left out", "  endpoints:\n  - {address: 10.4.1.12:9080}\n  - {address: 10.4.1.13:9080, priority: 2}\n", "there is a 2 and no 1"},
		{"name in a static cluster", "  endpoints:\n  - {address: \"a.example:80\"}\n", ":8: clusters[0].endpoints[0].address: "},
		{"port 0", "  endpoints:\n  - {address: 10.4.1.12:0}\n", ":8: clusters[0].endpoints[0].address: "},
		{"unknown policy", "  lb_policy: fastest\n", ":7: clusters[0].lb_policy: "},
		{"table is no prime", "  lb_policy: maglev\n  maglev: {table_size: 65536}\n", ":8: clusters[0].maglev.table_size: "},
		{"panic of 101 %", "  healthy_panic_threshold: 101\n", ":7: clusters[0].healthy_panic_threshold: "},
		{"no connections", "  circuit_breakers: {max_connections: 0}\n", ":7: clusters[0].circuit_breakers.max_connections: "},
		{"unknown status", "  endpoints:\n  - {address: 10.4.1.12:9080, health_status: ill}\n", ":8: clusters[0].endpoints[0].health_status: "},
		{"eject 101 %", "  outlier_detection: {max_ejection_percent: 101}\n", ":7: clusters[0].outlier_detection.max_ejection_percent: "},
		{"ejection too short", "  outlier_detection: {base_ejection_time: 10m}\n", ":7: clusters[0].outlier_detection.max_ejection_time: must be at least base_ejection_time"},
	} {
		file := filepath.Join(t.TempDir(), "sluice.yaml")
		if err := os.WriteFile(file, []byte(before+tc.keys), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"validate", "run"} {
			out, err := exec.Command("timeout", "20", os.Getenv(binaryVar), command, "-c", file).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), file+":") || !strings.Contains(string(out), tc.says) {
				t.Errorf("%s: sluice %s ends with %v and says %s", tc.name, command, err, out)
			}
		}
	}
}
