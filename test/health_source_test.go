package test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// boundIP is an address of the pod's that no route chooses by itself.
const boundIP = "10.4.1.77"

// TestHealthChecksGoOutAsTraffic has servers that serve only who comes from the
// cluster's own source address, with its PROXY header: checks pass where traffic
// passes.
func TestHealthChecksGoOutAsTraffic(t *testing.T) {
	t.Parallel()
	testnet.Need(t, "nginx")
	w := newWorld(t)
	w.pod.AddAddr("eth1", boundIP+"/24")
	const named, local = 9001, 9002
	// v1 has the connection's own addresses, v2 of a check none: LOCAL.
	runNginx(newPlace(w, w.remote, "named"), introducedPages(named, boundIP+" "+boundIP)).WaitListen(named)
	runNginx(newPlace(w, w.remote, "local"), introducedPages(local, boundIP+" ")).WaitListen(local)
	const get = `type: http, http: {path: /}`
	raw := fmt.Sprintf("type: tcp, tcp: {send: %q, receive: [%q]}",
		hex.EncodeToString([]byte("GET / HTTP/1.0\r\n\r\n")), hex.EncodeToString([]byte(" 200 OK")))
	sources, headers := newSightings(w, remoteIP2+":9003"), newSightings(w, remoteIP2+":9004")
	cases := []struct {
		name    string
		address string
		cluster string // keys of the cluster
		check   string
		healthy float64
	}{
		{"v1", fmt.Sprintf("%s:%d", remoteIP, named), "upstream_bind_address: " + boundIP + ", proxy_protocol: v1", get, 1},
		{"v1-tcp", fmt.Sprintf("%s:%d", remoteIP, named), "upstream_bind_address: " + boundIP + ", proxy_protocol: v1", raw, 1},
		{"v1-from-elsewhere", fmt.Sprintf("%s:%d", remoteIP, named), "proxy_protocol: v1", get, 0},
		{"no-header", fmt.Sprintf("%s:%d", remoteIP, named), "upstream_bind_address: " + boundIP, get, 0},
		{"v2", fmt.Sprintf("%s:%d", remoteIP, local), "upstream_bind_address: " + boundIP + ", proxy_protocol: v2", get, 1},
		{"v2-tcp", fmt.Sprintf("%s:%d", remoteIP, local), "upstream_bind_address: " + boundIP + ", proxy_protocol: v2", raw, 1},
		{"reaction", remoteIP2 + ":9003", "upstream_bind_address: " + boundIP, "type: tcp, tcp: {expect_reaction: true}", 1},
		{"v1-connect", remoteIP2 + ":9004", "upstream_bind_address: " + boundIP + ", proxy_protocol: v1", "type: tcp", 1},
	}
	listeners, clusters := "", ""
	for i, tc := range cases {
		listeners += fmt.Sprintf("- {name: %s, address: 0.0.0.0:%d, default_filter_chain: {tcp_proxy: {cluster: %[1]s}}}\n", tc.name, 20000+i)
		clusters += fmt.Sprintf("- {name: %s, endpoints: [{address: %q}], %s, health_checks: [{%s%s}]}\n", tc.name, tc.address, tc.cluster, tc.check, checkTimes)
	}
	s := startSidecar(w, head+quickDrain+"listeners:\n"+listeners+"clusters:\n"+clusters, launch{uid: sidecarID, checks: len(cases)})
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := s.in(t)
			s.waitMetric(tc.healthy, "envoy_cluster_membership_healthy", ofCluster(tc.name))
			result := map[float64]string{0: "failure", 1: "success"}[tc.healthy]
			s.w.eventually(func() error {
				if n := s.metrics().sum("envoy_cluster_health_check_"+result, ofCluster(tc.name)); n < 3 {
					return fmt.Errorf("%v checks", n)
				}
				return nil
			})
		})
	}
	const silent, v1 = boundIP + " ", boundIP + " PROXY TCP4 " + boundIP + " " + remoteIP2
	for want, seen := range map[string]*sightings{silent: sources, v1: headers} {
		w.eventually(func() error { // it may hear of a check later than sluice is done with it
			list := seen.list()
			if slices.ContainsFunc(list, func(s string) bool { return !strings.HasPrefix(s, want) }) {
				t.Fatalf("the server has seen %q, want %q", list, want)
			}
			if len(list) < 3 {
				return fmt.Errorf("the server has seen %d checks", len(list))
			}
			return nil
		})
	}
}

// introducedPages serves only who comes from the one address, and by its PROXY
// header from the other: "10.4.1.77 10.4.0.9".
func introducedPages(port int, who string) string {
	return fmt.Sprintf(`listen %d proxy_protocol;
    set $who "$remote_addr $proxy_protocol_addr";
    if ($who != %q) { return 403; }
    return 200 ok;`, port, who)
}

// sightings are the addresses that have connected to a server, each with what it
// said until its end.
type sightings struct {
	mu   sync.Mutex
	seen []string
}

func newSightings(w *world, address string) *sightings {
	w.Helper()
	s := new(sightings)
	serve(w, w.remote.Listen("tcp", address), func(conn *net.TCPConn) {
		said, err := io.ReadAll(conn)
		if err != nil && len(said) == 0 {
			return // a reset overtook it
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, host(conn.RemoteAddr().String())+" "+string(said))
	})
	return s
}

func (s *sightings) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}
