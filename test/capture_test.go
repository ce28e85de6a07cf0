package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// TestCapture has connections taken each way, and looks at what both ends and
// the access log know of them.
func TestCapture(t *testing.T) {
	t.Parallel()
	for _, mode := range []capture{redirect, tproxy} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t)
			serveGreeting(w, w.pod, "0.0.0.0:7000", "[::]:7001")
			serveGreeting(w, w.remote, "0.0.0.0:7000", "[::]:7001")
			w.applyRules(mode)
			s := startSidecar(w, sidecarText(settings{mode: mode}), asSidecar(mode))
			type captureCase struct {
				name      string
				from      *testnet.Host
				address   string
				seen      string // by the application
				listener  string
				direction string
			}
			in4, in6 := "127.0.0.6", "::6"
			if mode == tproxy {
				in4, in6 = clientIP, clientIP6
			}
			for _, tc := range []captureCase{
				{name: "inbound", from: w.client, address: podIP + ":7000", seen: in4, listener: "virtualInbound", direction: "inbound"},
				{name: "inbound IPv6", from: w.client, address: "[" + podIP6 + "]:7001", seen: in6, listener: "virtualInbound-ipv6", direction: "inbound"},
				{name: "outbound", from: w.pod, address: remoteIP + ":7000", seen: podFarIP, listener: "virtualOutbound", direction: "outbound"},
				{name: "outbound IPv6", from: w.pod, address: "[" + remoteIP6 + "]:7001", seen: podFarIP6, listener: "virtualOutbound-ipv6", direction: "outbound"},
			} {
				t.Run(tc.name, func(t *testing.T) {
					server, seen, r := converse(s.in(t), tc.from, tc.address)
					if server != tc.address || host(seen) != tc.seen {
						t.Errorf("the application at %s sees %s, want %s and %s", server, seen, tc.address, tc.seen)
					}
					if r.Local != tc.address || r.UpstreamHost != tc.address || r.UpstreamLocal != seen {
						t.Errorf("original destination %s, upstream %s from %s", r.Local, r.UpstreamHost, r.UpstreamLocal)
					}
					if r.Listener != tc.listener || r.Direction != tc.direction {
						t.Errorf("listener %s, direction %s", r.Listener, r.Direction)
					}
					if r.BytesReceived != 15 || r.BytesSent != int64(len(server)+len(seen)+2+15) || r.ConnectAttempts != 1 || r.Engine != "copy" {
						t.Errorf("record %+v", r)
					}
					if r.ending() != (ending{"downstream", "fin", "-"}) {
						t.Errorf("ended by %+v", r.ending())
					}
				})
			}
			t.Run("own ports from outside", func(t *testing.T) { ownPorts(s.in(t)) })
		})
	}
}

// ownPorts asks for metrics and readiness from the client's host, past
// capture, and finds the admin port closed there.
func ownPorts(s *sidecar) {
	before := len(s.records())
	for _, url := range []string{"http://" + podIP + ":15090/stats/prometheus", "http://" + podIP + ":15021/healthz/ready"} {
		if status, _, err := s.get(s.w.client, url); err != nil || status != http.StatusOK {
			s.w.Errorf("%s: status %d, %v", url, status, err)
		}
	}
	if _, _, err := s.get(s.w.client, "http://"+podIP+":15000/ready"); err == nil {
		s.w.Error("the admin port answers from outside")
	}
	// The last one is captured as any other port, and nobody listens there.
	if lines := s.waitRecords(before+1, func(record) bool { return true }); lines[len(lines)-1].Local != podIP+":15000" {
		s.w.Errorf("the last connection was %+v", lines[len(lines)-1])
	}
}

// TestBookinfo runs the example of the reviews pod.
func TestBookinfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.pod, "0.0.0.0:9080", "0.0.0.0:9999")
	serveGreeting(w, w.remote, "0.0.0.0:9080", "0.0.0.0:9999")
	w.applyRules(redirect)
	s := startSidecar(w, exampleText(w, "bookinfo-reviews.yaml")+quickDrain, asSidecar(redirect))
	const ratings = "outbound|9080||ratings.default.svc.cluster.local"
	for _, tc := range []struct {
		name            string
		from            *testnet.Host
		address         string
		listener, chain string
		cluster         string
		upstream        []string // in turn, beginning with any
	}{
		{"own port", w.client, podIP + ":9080", "virtualInbound", "inbound|9080||", "inbound|9080||", []string{podIP + ":9080"}},
		{"other port", w.client, podIP + ":9999", "virtualInbound", "virtualInbound-passthrough", "InboundPassthroughClusterIpv4", []string{podIP + ":9999"}},
		{"ratings", w.pod, serviceIP + ":9080", "0.0.0.0_9080", ratings, ratings, []string{remoteIP + ":9080", remoteIP2 + ":9080"}},
		{"not ratings", w.pod, remoteIP + ":9080", "0.0.0.0_9080", "passthrough", "PassthroughCluster", []string{remoteIP + ":9080"}},
		{"no such listener", w.pod, remoteIP + ":9999", "virtualOutbound", "virtualOutbound-passthrough", "PassthroughCluster", []string{remoteIP + ":9999"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := s.metrics().sum("envoy_cluster_upstream_cx_total", ofCluster(tc.cluster))
			var servers []string
			for range tc.upstream {
				server, _, r := converse(s.in(t), tc.from, tc.address)
				servers = append(servers, server)
				if r.UpstreamHost != server || r.Local != tc.address {
					t.Errorf("served by %s, logged %s for %s", server, r.UpstreamHost, r.Local)
				}
				if r.Listener != tc.listener || r.Chain != tc.chain || r.Cluster != tc.cluster {
					t.Errorf("listener %s, chain %s, cluster %s", r.Listener, r.Chain, r.Cluster)
				}
			}
			if slices.Sort(servers); !slices.Equal(servers, tc.upstream) {
				t.Errorf("served by %v, want %v", servers, tc.upstream)
			}
			s.in(t).waitMetric(before+float64(len(servers)), "envoy_cluster_upstream_cx_total", ofCluster(tc.cluster))
		})
	}
}

// matchText has a chain for each criterion. Their order in the file must not
// matter; the cluster's name is the listener's and the chain's.
func matchText() string {
	chains := []struct{ name, match string }{
		{"source-port", "{source_ports: [25678, 25679]}"},
		{"source-type", "{destination_port: 7002, source_type: same_ip_or_loopback}"},
		{"external", "{destination_port: 7002, source_type: external}"},
		{"long-prefix", "{prefix_ranges: [10.4.1.13/32]}"},
		{"short-prefix", "{prefix_ranges: [10.4.1.0/24]}"},
		{"port", "{destination_port: 7001}"},
		{"source-prefix", "{destination_port: 7003, source_prefix_ranges: [10.4.0.9/32]}"},
		{"direct-source", "{destination_port: 7004, direct_source_prefix_ranges: [10.4.0.0/24]}"},
		{"fallback", ""},
	}
	listener := func(name string, port int, direction string) string {
		text := fmt.Sprintf("- name: %s\n  address: 0.0.0.0:%d\n  direction: %s\n  interception_mode: redirect\n  filter_chains:\n",
			name, port, direction)
		for _, c := range chains {
			if c.match == "" {
				text += fmt.Sprintf("  default_filter_chain: {name: %s, tcp_proxy: {cluster: %s-%[1]s}}\n", c.name, name)
				continue
			}
			text += fmt.Sprintf("  - {name: %s, match: %s, tcp_proxy: {cluster: %s-%[1]s}}\n", c.name, c.match, name)
		}
		return text
	}
	var clusters strings.Builder
	for _, c := range chains {
		fmt.Fprintf(&clusters, "- {name: out-%s, type: original_dst}\n", c.name)
		fmt.Fprintf(&clusters, "- {name: in-%s, type: original_dst, upstream_bind_address: 127.0.0.6}\n", c.name)
	}
	return head + quickDrain + "listeners:\n" + listener("out", 15001, "outbound") +
		listener("in", 15006, "inbound") + "clusters:\n" + clusters.String()
}

func TestFilterChainMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, h := range []*testnet.Host{w.pod, w.remote} {
		serveGreeting(w, h, "0.0.0.0:7000", "0.0.0.0:7001", "0.0.0.0:7002", "0.0.0.0:7003", "0.0.0.0:7004")
	}
	w.applyRules(redirect)
	s := startSidecar(w, matchText(), asSidecar(redirect))
	for _, tc := range []struct {
		chain   string
		from    *testnet.Host
		address string
		source  string // of the client; "" = any
	}{
		{"port", w.pod, remoteIP + ":7001", ""},
		{"port", w.client, podIP + ":7001", ""},
		{"long-prefix", w.pod, remoteIP2 + ":7000", ""},
		{"short-prefix", w.pod, remoteIP + ":7000", ""},
		{"external", w.client, podIP + ":7002", ""},
		{"source-port", w.client, podIP + ":7000", clientIP + ":25678"},
		{"source-prefix", w.client, podIP + ":7003", ""},
		{"direct-source", w.client, podIP + ":7004", ""},
		{"fallback", w.client, podIP + ":7000", ""},
		{"port", w.client, podIP + ":7001", clientIP + ":25679"}, // the port was found first
	} {
		t.Run(tc.chain+" "+tc.address, func(t *testing.T) {
			s := s.in(t)
			conn := dialFrom(s.w, tc.from, tc.source, tc.address)
			if _, _, err := talk(conn); err != nil {
				t.Fatal(err)
			}
			if err := reset(conn); err != nil { // leaves no TIME-WAIT on the port
				t.Fatal(err)
			}
			lines := s.waitRecords(1, func(r record) bool { return r.Remote == conn.LocalAddr().String() && r.Local == tc.address })
			if lines[0].Chain != tc.chain || !strings.HasSuffix(lines[0].Cluster, "-"+tc.chain) {
				t.Errorf("chain %s, cluster %s", lines[0].Chain, lines[0].Cluster)
			}
		})
	}
}

// TestNoFilterChain resets what matches nothing.
func TestNoFilterChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := startSidecar(w, head+quickDrain+`
listeners:
- name: picky
  address: 0.0.0.0:8080
  filter_chains:
  - {name: never, match: {source_ports: [1]}, tcp_proxy: {cluster: unused}}
clusters:
- {name: unused, endpoints: [{address: "10.4.1.12:1"}]}
`, asSidecar(redirect))
	if r := refused(s, w.client, podIP+":8080"); r.ending() != (ending{"proxy", "no_filter_chain", "NR"}) || r.Chain != "" {
		t.Errorf("record %+v", r)
	}
	s.waitMetric(1, "envoy_listener_no_filter_chain_match", ofListener("0.0.0.0:8080"))
}

// TestShares splits exactly by weight, over the cluster's and the chain's
// weights.
func TestShares(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.remote, "0.0.0.0:7000", "0.0.0.0:7001", "0.0.0.0:7002", "0.0.0.0:8888")
	s := startSidecar(w, head+quickDrain+`
listeners:
- name: weighted-clusters
  address: 0.0.0.0:8080
  default_filter_chain:
    name: split
    tcp_proxy: {weighted_clusters: [{name: one, weight: 70}, {name: two, weight: 30}]}
- name: override
  address: 0.0.0.0:8081
  default_filter_chain: {tcp_proxy: {cluster: other-port}}
- {name: catch-all, address: 0.0.0.0:15001, direction: outbound, interception_mode: redirect,
   default_filter_chain: {tcp_proxy: {cluster: other-port}}}
clusters:
- {name: one, endpoints: [{address: "10.4.1.12:7000", weight: 3}, {address: "10.4.1.13:7001"}]}
- {name: two, endpoints: [{address: "10.4.1.12:7002"}]}
- {name: other-port, type: original_dst, upstream_port_override: 8888}
`, asSidecar(redirect))
	counts := map[string]int{}
	for range 40 {
		server, _, _ := converse(s, w.client, podIP+":8080")
		counts[server]++
	}
	want := map[string]int{remoteIP + ":7000": 21, remoteIP2 + ":7001": 7, remoteIP + ":7002": 12}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("40 connections went to %v, want %v", counts, want)
	}
	if n := s.metrics().sum("envoy_cluster_upstream_cx_total", ofCluster("one")); n != 28 {
		t.Errorf("cluster one counts %v connections, want 28", n)
	}
	w.applyRules(redirect)
	server, _, r := converse(s, w.pod, remoteIP+":7000")
	if server != remoteIP+":8888" || r.UpstreamHost != server || r.Local != remoteIP+":7000" {
		t.Errorf("upstream_port_override led to %s; %+v", server, r)
	}
}
