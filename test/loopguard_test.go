package test

import (
	"fmt"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// guarded are the reasons of connections that the loop guard has refused.
func guarded(r record) bool { return r.Reason == "loop_guard" || r.Reason == "no_original_dst" }

// TestStraightToCapturePorts connects to 15001 and 15006 themselves, by every
// address, from inside and outside, in both modes, with rules and without.
// Each costs one connection, one log line and one count.
func TestStraightToCapturePorts(t *testing.T) {
	t.Parallel()
	for _, mode := range []capture{redirect, tproxy} {
		for _, rules := range []string{"with rules", "without rules"} {
			t.Run(string(mode)+" "+rules, func(t *testing.T) {
				w := newWorld(t)
				if rules == "with rules" {
					w.applyRules(mode)
				}
				s := startSidecar(w, sidecarText(settings{mode: mode}), asSidecar(mode))
				count := 0
				for _, port := range []int{15001, 15006} {
					for _, from := range []*testnet.Host{w.pod, w.client} {
						for _, ip := range addressesFrom(w, from) {
							address := fmt.Sprintf("%s:%d", ip, port)
							count++
							t.Run(from.String()+" "+address, func(t *testing.T) { straight(s.in(t), from, address, count) })
						}
					}
				}
				m := s.metrics()
				if total := m.sum("envoy_cluster_upstream_cx_total"); total != 0 {
					t.Errorf("sluice dialled %v connections of its own", total)
				}
				if len(s.records()) != count {
					t.Errorf("%d connections left %d lines", count, len(s.records()))
				}
			})
		}
	}
}

// addressesFrom are the pod's addresses as a host sees them.
func addressesFrom(w *world, from *testnet.Host) []string {
	all := []string{podIP, "[" + podIP6 + "]"}
	if from == w.pod {
		all = append(all, "127.0.0.1", "127.0.0.6", "[::1]", podFarIP, "[::ffff:127.0.0.1]")
	}
	return all
}

func straight(s *sidecar, from *testnet.Host, address string, count int) {
	r := refused(s, from, address)
	if !guarded(r) || r.ClosedBy != "proxy" || r.ConnectAttempts != 0 || r.UpstreamHost != "" {
		s.w.Errorf("record %+v", r)
	}
	s.waitMetric(float64(count), "sluice_loop_guard_total")
	s.waitIdle()
}

// TestWrongUser runs sluice as root while the rules leave only uid 1337 alone:
// what it dials itself is captured again.
func TestWrongUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000", "["+remoteIP6+"]:7000")
	serveGreeting(w, w.pod, podIP+":7000")
	w.applyRules(redirect)
	s := startSidecar(w, sidecarText(settings{mode: redirect}), launch{})
	const tries = 20
	for i := range tries {
		address := remoteIP + ":7000"
		if i%2 == 1 {
			address = "[" + remoteIP6 + "]:7000"
		}
		refused(s, w.pod, address)
	}
	s.waitMetric(tries, "sluice_loop_guard_total")
	s.waitRecords(tries, guarded)
	// Each connection is dialled twice, also where another loop accepts what this
	// one dials, and leaves a line for each turn. It has a turn more where the loop that
	// dials stands still for 100 ms: the other one waits no longer.
	dials := s.metrics().sum("envoy_cluster_upstream_cx_total")
	if dials < 2*tries || dials > 2*tries+tries/2 {
		t.Errorf("%d connections made sluice dial %v times", tries, dials)
	}
	s.waitRecords(int(dials)+tries, func(record) bool { return true })
	// What comes in is dialled from 127.0.0.6, which is never captured.
	converse(s, w.client, podIP+":7000")
}

// TestSelfCall has a pod call itself: by its own address, by an endpoint that
// is its own address, and by a service address that leads back to it. None of
// them is a loop.
func TestSelfCall(t *testing.T) {
	t.Parallel()
	for _, mode := range []capture{redirect, tproxy} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t)
			serveGreeting(w, w.pod, "0.0.0.0:7000", "[::]:7001")
			w.applyRules(mode)
			text := sidecarText(settings{mode: mode}) + "- {name: itself, endpoints: [{address: \"" + podIP + ":7000\"}]}\n"
			s := startSidecar(w, withListener(text, "- {name: service, address: 0.0.0.0:8081, direction: outbound,"+
				" default_filter_chain: {tcp_proxy: {cluster: itself}}}\n"), asSidecar(mode))
			w.remote.Sysctl("net.ipv4.ip_forward", "1")
			w.remote.Run("iptables", "-t", "nat", "-A", "PREROUTING", "-d", serviceIP, "-p", "tcp", "--dport", "80", "-j", "DNAT", "--to-destination", podFarIP+":7000")
			w.remote.Run("iptables", "-t", "nat", "-A", "POSTROUTING", "-d", podFarIP, "-j", "MASQUERADE")
			for _, tc := range []struct {
				name, address string
				legs          []string // the listeners that log it
			}{
				{"own address", podIP + ":7000", nil},
				{"own IPv6 address", "[" + podIP6 + "]:7001", nil},
				{"loopback", "127.0.0.1:7000", nil},
				{"endpoint", "127.0.0.1:8081", []string{"service", "virtualInbound"}},
				{"service address", serviceIP + ":80", []string{"virtualOutbound", "virtualInbound"}},
			} {
				t.Run(tc.name, func(t *testing.T) {
					s := s.in(t)
					before := len(s.records())
					conn := dial(s.w, w.pod, tc.address)
					if _, _, err := talk(conn); err != nil {
						t.Fatal(err)
					}
					conn.Close()
					lines := s.waitRecords(before+len(tc.legs), func(record) bool { return true })[before:]
					for _, leg := range tc.legs {
						found := 0
						for _, r := range lines {
							if r.Listener == leg && r.ending() == byClient {
								found++
							}
						}
						if found != 1 {
							t.Errorf("%d lines by %s among %+v", found, leg, lines)
						}
					}
				})
			}
			s.waitMetric(0, "sluice_loop_guard_total")
		})
	}
}
