package test

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// TestPolicyShares counts who serves, for each policy that goes by weight.
func TestPolicyShares(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	servers, addresses := newServers(w, 4)
	weighted := make([]spot, len(servers))
	for i, address := range addresses {
		weighted[i] = spot{address, fmt.Sprintf("weight: %d", i+1)}
	}
	s := startSidecar(w, fourLoops(poolText(quickDrain, []gateway{
		{name: "turns", port: 8081},
		{name: "least", port: 8082, cluster: "lb_policy: least_request"},
		{name: "random", port: 8083, cluster: "lb_policy: random"},
		{name: "no-hash-ring", port: 8084, cluster: "lb_policy: ring_hash"},
		{name: "no-hash-maglev", port: 8085, cluster: "lb_policy: maglev"},
	}, weighted, weighted, weighted, weighted, weighted)), asSidecar(redirect))
	const n, sum = 500, 10 // 50, 100, 150 and 200
	for i, tc := range []struct {
		name  string
		slack int // how far a count may be off
	}{
		{"turns", 3},   // 500 is 50 whole rounds, less one in which a loop has begun
		{"least", 55},  // connections that overlap take from the heaviest, 17 for each
		{"random", 50}, // nearly 5 standard deviations of the last one
		{"no-hash-ring", 60},
		{"no-hash-maglev", 50},
	} {
		served := tally(w, w.client, fmt.Sprintf("%s:%d", podIP, 8081+i), n)
		for weight, address := range addresses {
			want := n * (weight + 1) / sum
			between(t, fmt.Sprintf("%s, weight %d", tc.name, weight+1), served[address], want-tc.slack, want+tc.slack)
		}
		if len(served) != len(servers) {
			t.Errorf("%s: served by %v", tc.name, served)
		}
	}
	s.waitMetric(5*n, "envoy_cluster_upstream_cx_total")
	s.waitMetric(5*n, "istio_tcp_connections_opened_total")
}

// TestLeastRequestAvoidsTheBusy holds many connections of one endpoint: new ones
// go to the others.
func TestLeastRequestAvoidsTheBusy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, addresses := newServers(w, 3)
	s := startSidecar(w, gatewayText(quickDrain, gateway{name: "least", port: 8081, endpoints: addresses,
		cluster: "lb_policy: least_request\n  least_request: {choice_count: 3}"}), asSidecar(redirect))
	const busy = 20
	held := 0
	var others []net.Conn
	w.eventually(func() error {
		conn := dial(w, w.client, podIP+":8081")
		name, _, err := talk(conn)
		if err != nil {
			return err
		}
		if name != addresses[0] {
			others = append(others, conn) // held too, or the first one would get none
		} else if held++; held == busy {
			return nil
		}
		return fmt.Errorf("%d connections of %s are held", held, addresses[0])
	})
	for _, conn := range others {
		conn.Close()
	}
	s.waitMetric(busy, "envoy_cluster_upstream_cx_active")
	if served := tally(w, w.client, podIP+":8081", 20); served[addresses[0]] > 0 || len(served) != 2 {
		t.Errorf("served by %v", served)
	}
}

// clientsOf gives a host that many addresses more, and the pod the way there.
func clientsOf(w *world, n int) []netip.Addr {
	w.Helper()
	w.client.Run("ip", "route", "add", "local", "10.4.2.0/24", "dev", "lo")
	w.pod.Route("10.4.2.0/24", clientIP)
	var list []netip.Addr
	for i := range n {
		list = append(list, netip.AddrFrom4([4]byte{10, 4, 2, byte(i + 1)}))
	}
	return list
}

// affinity is which endpoint each client is served by; asked twice, it must be
// the same one.
func affinity(w *world, address string, clients []netip.Addr) map[netip.Addr]string {
	w.Helper()
	served := make(map[netip.Addr]string)
	for range 2 {
		for _, c := range clients {
			name, err := whoServes(w.client, &net.Dialer{LocalAddr: &net.TCPAddr{IP: c.AsSlice()}, Timeout: patience}, address)
			if err != nil {
				w.Fatalf("%s at %s: %v", c, address, err)
			}
			if before, ok := served[c]; ok && before != name {
				w.Errorf("%s is served by %s, and then by %s", c, before, name)
			}
			served[c] = name
		}
	}
	return served
}

// moved is how many clients that were not at gone are somewhere else.
func moved(before, after map[netip.Addr]string, gone string) (n int) {
	for c, name := range before {
		if name != gone && after[c] != name {
			n++
		}
	}
	return n
}

// TestAffinity has clients with addresses of their own come again: to the same
// endpoint, also of another process, while another one is dead, and after it is
// back.
func TestAffinity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := startProcesses(w, 4)
	clients := clientsOf(w, 40)
	hash := "hash_policy: {source_ip: true}"
	text := poolText(quickDrain, []gateway{
		{name: "ring", port: 8081, tcp: hash, cluster: "lb_policy: ring_hash\n  " + quickCheck(0)},
		{name: "maglev", port: 8082, tcp: hash, cluster: "lb_policy: maglev\n  " + quickCheck(0)},
	}, spots(p.addresses, ""), spots(p.addresses, ""))
	s := startSidecar(w, text, asSidecar(redirect))
	gateways := []struct {
		name, address string
		moved         int // of 30, how many may move that need not: docs/load-balancing.md has the shares
	}{{"ring", podIP + ":8081", 8}, {"maglev", podIP + ":8082", 4}}
	first := make(map[string]map[netip.Addr]string)
	for _, g := range gateways {
		s.waitHealthy(4, g.name)
		first[g.name] = affinity(w, g.address, clients)
		if at := slices.Compact(slices.Sorted(maps.Values(first[g.name]))); len(at) != 4 {
			t.Errorf("%s: the clients are at %v", g.name, at)
		}
	}
	s.finish()
	s.gone = true

	s = startSidecar(w, text, asSidecar(redirect))
	same := func(when string) {
		t.Helper()
		for _, g := range gateways {
			s.waitHealthy(4, g.name)
			if again := affinity(w, g.address, clients); !maps.Equal(again, first[g.name]) {
				t.Errorf("%s, %s: %d clients have moved", g.name, when, moved(first[g.name], again, ""))
			}
		}
	}
	same("after a restart")
	p.kill(1)
	for _, g := range gateways {
		s.waitHealthy(3, g.name)
		without := affinity(w, g.address, clients)
		if n := moved(first[g.name], without, p.addresses[1]); n > g.moved {
			t.Errorf("%s: %d clients of other endpoints have moved", g.name, n)
		}
		if slices.Contains(slices.Collect(maps.Values(without)), p.addresses[1]) {
			t.Errorf("%s: a dead endpoint serves", g.name)
		}
	}
	p.start(1)
	same("when all are back")
}

// TestHashPolicy has one client come again and again, with and without
// hash_policy.
func TestHashPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, addresses := newServers(w, 4)
	var gateways []gateway
	policies := []string{"ring_hash", "maglev", "round_robin"}
	for i, policy := range policies {
		gateways = append(gateways,
			gateway{name: policy, port: 8081 + 2*i, endpoints: addresses, cluster: "lb_policy: " + policy, tcp: "hash_policy: {source_ip: true}"},
			gateway{name: policy + "-none", port: 8082 + 2*i, endpoints: addresses, cluster: "lb_policy: " + policy})
	}
	startSidecar(w, gatewayText(quickDrain, gateways...), asSidecar(redirect))
	for i, policy := range policies {
		want := 1
		if policy == "round_robin" {
			want = 4 // has no use for it
		}
		if served := tally(w, w.client, fmt.Sprintf("%s:%d", podIP, 8081+2*i), 60); len(served) != want {
			t.Errorf("%s, hash of one client: %v", policy, served)
		}
		if served := tally(w, w.client, fmt.Sprintf("%s:%d", podIP, 8082+2*i), 60); len(served) != 4 {
			t.Errorf("%s, no hash: %v", policy, served)
		}
	}
}
