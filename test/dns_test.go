package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

const nameserverIP = "10.4.1.53"

// newDNSWorld is a world with a name server at nameserverIP, and greet at port
// 7000 of all addresses of the remote host.
func newDNSWorld(t *testing.T) (*world, *nameserver) {
	t.Helper()
	testnet.Need(t, "unshare")
	w := newWorld(t)
	w.remote.AddAddr("eth0", nameserverIP+"/24")
	serveGreeting(w, w.remote, "[::]:7000")
	return w, newNameserver(w, w.remote, nameserverIP)
}

// named is a gateway to a name, asked for each 100 ms at nameserverIP.
func named(cluster, name string, port int, more string) gateway {
	return gateway{name: cluster, port: port, endpoints: []string{name + ":7000"}, tcp: "max_connect_attempts: 1",
		cluster: "type: strict_dns\n  dns: {refresh_rate: 100ms, respect_ttl: false, resolvers: [\"" + nameserverIP + ":53\"]}\n  " + more}
}

// waitServed waits until new connections are served at an address.
func (s *sidecar) waitServed(port int, ip string) {
	s.w.Helper()
	s.w.eventually(func() error {
		conn, err := s.w.client.Dial("tcp", fmt.Sprintf("%s:%d", podIP, port))
		if err != nil {
			return err
		}
		own(s.w, conn)
		defer conn.Close()
		server, _, err := talk(conn)
		if err == nil && host(server) != ip {
			err = fmt.Errorf("served by %s, want %s", server, ip)
		}
		return err
	})
}

// TestDNSFaults has names that were good go wrong in each way. The last good
// answer stays, it is counted, and the log says so once; then they are good
// again, elsewhere.
func TestDNSFaults(t *testing.T) {
	t.Parallel()
	w, server := newDNSWorld(t)
	good := naming{a: []string{remoteIP}, ttl: 60}
	type faultCase struct {
		name  string
		wrong naming
		empty bool // the server says that there is nothing
	}
	cases := []faultCase{
		{"nxdomain", naming{fault: noSuchName}, true},
		{"servfail", naming{fault: servFail}, false},
		{"refused", naming{fault: refuses}, false},
		{"silence", naming{fault: silence}, false},
		{"garbage", naming{fault: garbage}, false},
		{"empty", naming{}, true},
		{"nowhere", naming{a: []string{"0.0.0.0"}, aaaa: []string{"::"}}, true},
		{"circle", naming{alias: "circle.example."}, false},
		{"dangling", naming{alias: "nobody.example."}, true},
	}
	var gateways []gateway
	for i, tc := range cases {
		server.set(good, tc.name+".example.")
		gateways = append(gateways, named(tc.name, tc.name+".example.", 20000+i, ""))
	}
	s := startSidecar(w, gatewayText(quickDrain, gateways...), resolving(w, quickResolving, len(cases)))
	for i, tc := range cases {
		s.waitServed(20000+i, remoteIP)
		server.set(tc.wrong, tc.name+".example.")
	}
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := s.in(t)
			s.w.eventually(func() error {
				now := s.metrics()
				failed, empty := now.sum("envoy_cluster_update_failure", ofCluster(tc.name)), now.sum("envoy_cluster_update_empty", ofCluster(tc.name))
				if failed < 2 {
					return fmt.Errorf("%v lookups have failed", failed)
				}
				if tc.empty != (empty > 0) {
					return fmt.Errorf("%v of %v failures are counted as empty", empty, failed)
				}
				return nil
			})
			s.waitMetric(1, "envoy_cluster_membership_total", ofCluster(tc.name))
			s.waitServed(20000+i, remoteIP)
			if lines := s.dnsLines(tc.name, "failing"); len(lines) != 1 {
				t.Errorf("the log has %d lines: %v", len(lines), lines)
			}
			server.set(naming{a: []string{remoteIP2}, ttl: 60}, tc.name+".example.")
			s.waitServed(20000+i, remoteIP2)
			s.w.eventually(func() error {
				if lines := s.dnsLines(tc.name, "good"); len(lines) != 1 {
					return fmt.Errorf("the log has %d lines: %v", len(lines), lines)
				}
				return nil
			})
		})
	}
}

// dnsLines are what the log says about the name of a cluster that comes into a state.
// Between two of them it may be partial: the two families are asked for apart.
func (s *sidecar) dnsLines(cluster, state string) []string {
	s.w.Helper()
	return grep(s.process.Log(), `"msg":"DNS: `, fmt.Sprintf(`"cluster":%q`, cluster), fmt.Sprintf(`"state":%q`, state))
}

// TestDNSAnswers has answers of each kind that is good.
func TestDNSAnswers(t *testing.T) {
	t.Parallel()
	w, server := newDNSWorld(t)
	const fromFile = "type: strict_dns\n  dns: {refresh_rate: 100ms, lookup_family: all}"
	asked := func(keys string) string {
		return "type: strict_dns\n  dns: {refresh_rate: 100ms, resolvers: [\"" + nameserverIP + ":53\"]" + keys + "}"
	}
	both := naming{a: []string{remoteIP, remoteIP2}, aaaa: []string{remoteIP6}, ttl: 60}
	server.set(both, "both.example.", "end.example.")
	server.set(naming{alias: "middle.example.", ttl: 60}, "begin.example.")
	server.set(naming{alias: "end.example.", ttl: 60}, "middle.example.")
	server.set(naming{a: []string{remoteIP}, ttl: 60}, "ratings.default.example.")
	server.set(naming{a: []string{remoteIP}}, "hasty.example.")
	server.set(naming{a: addresses("10.5.%d.%d", 3000), ttl: 60}, "many.example.")
	server.set(naming{a: addresses("10.5.%d.%d", 3500), aaaa: addresses("fd00:99::%x:%x", 2000), ttl: 60}, "most.example.")
	cases := []struct {
		name, endpoint, cluster string
		members                 float64
		served                  string // one of those who serve
	}{
		{"auto", "both.example.", asked(""), 1, remoteIP6},
		{"v4-only", "both.example.", asked(", lookup_family: v4_only"), 2, remoteIP2},
		{"v6-only", "both.example.", asked(", lookup_family: v6_only"), 1, remoteIP6},
		{"all", "both.example.", asked(", lookup_family: all"), 3, remoteIP6},
		{"cnames", "begin.example.", asked(", lookup_family: all"), 3, remoteIP},
		{"resolv-conf", "both.example.", fromFile, 3, remoteIP},
		{"search", "ratings", fromFile, 1, remoteIP},
		{"ttl-0", "hasty.example.", asked(""), 1, remoteIP},
		{"thousands", "many.example.", asked(""), 3000, ""},
		{"too-many", "most.example.", asked(", lookup_family: all"), 5000, ""},
		{"logical", "both.example.", "type: logical_dns\n  dns: {lookup_family: v4_only, resolvers: [\"" + nameserverIP + ":53\"]}", 1, remoteIP},
		{"literal", remoteIP2, asked(""), 1, remoteIP2},
	}
	var gateways []gateway
	for i, tc := range cases {
		gateways = append(gateways, gateway{name: tc.name, port: 20000 + i, endpoints: []string{tc.endpoint + ":7000"}, cluster: tc.cluster})
	}
	s := startSidecar(w, gatewayText(quickDrain, gateways...),
		resolving(w, "nameserver "+nameserverIP+"\nsearch nowhere.example default.example\n"+quickResolving, len(cases)))
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := s.in(t)
			s.waitMetric(tc.members, "envoy_cluster_membership_total", ofCluster(tc.name))
			if tc.served != "" {
				s.waitServed(20000+i, tc.served)
			}
		})
	}
	t.Run("what is left out is said", func(t *testing.T) {
		lines := s.in(t).dnsLines("too-many", "capped")
		if len(lines) != 1 {
			t.Errorf("the log has %d lines: %v", len(lines), lines)
		}
		wantText(t, fmt.Sprint(lines), "500 addresses more than 5000")
	})
	t.Run("TTL 0 goes by the refresh rate", func(t *testing.T) {
		s, other := s.in(t), server.questions("both.example.")
		server.set(naming{a: []string{remoteIP2}}, "hasty.example.")
		s.waitServed(20000+7, remoteIP2)
		if n := server.questions("both.example."); n != other {
			t.Errorf("a name with a TTL of 60 s was asked for %d times more", n-other)
		}
	})
}

// TestDNSChanges moves a service. New connections go to its new address; what
// becomes of old ones is on_endpoint_removed's.
func TestDNSChanges(t *testing.T) {
	t.Parallel()
	w, server := newDNSWorld(t)
	const name = "ratings.example."
	server.set(naming{a: []string{remoteIP}, ttl: 60}, name)
	kinds := []string{"keep", "close", "drain"}
	var gateways []gateway
	for i, kind := range kinds {
		gateways = append(gateways, named(kind, name, 20000+i, "on_endpoint_removed: "+kind))
	}
	logical := named("logical", name, 20003, "")
	logical.cluster = "type: logical_dns\n" + logical.cluster[len("type: strict_dns\n"):]
	s := startSidecar(w, gatewayText("drain: {time: 1s, min_time: 0s, strategy: immediate}\n", append(gateways, logical)...), resolving(w, quickResolving, len(gateways)+1))
	open := make(map[string]*caller)
	for i, kind := range append(kinds, "logical") {
		open[kind] = newCaller(w, fmt.Sprintf("%s:%d", podIP, 20000+i))
	}
	changes := s.metrics().sum("envoy_cluster_membership_change", ofCluster("keep"))

	server.set(naming{a: []string{remoteIP2}, ttl: 60}, name)
	for i := range len(kinds) + 1 {
		s.waitServed(20000+i, remoteIP2)
	}
	for _, kind := range []string{"close", "drain"} {
		conn := open[kind].conn
		wantReset(t, conn)
		if r := s.ended(conn); r.ending() != (ending{"proxy", "endpoint_removed", "-"}) || host(r.UpstreamHost) != remoteIP {
			t.Errorf("%s: %+v, %s", kind, r.ending(), r.UpstreamHost)
		}
	}
	for _, kind := range []string{"keep", "logical"} {
		if err := open[kind].echo(); err != nil {
			t.Errorf("%s: the old connection: %v", kind, err)
		}
		open[kind].conn.Close()
	}
	if n := s.metrics().sum("envoy_cluster_membership_change", ofCluster("keep")) - changes; n != 1 {
		t.Errorf("%v changes are counted, want 1", n)
	}
	s.waitMetric(1, "envoy_cluster_membership_total", ofCluster("keep"))
}

// caller is a client of greet that stays.
type caller struct {
	conn *net.TCPConn
	in   *bufio.Reader
}

func newCaller(w *world, address string) *caller {
	w.Helper()
	conn := dial(w, w.client, address)
	c := &caller{conn, bufio.NewReader(conn)}
	if _, err := c.in.ReadString('\n'); err != nil {
		w.Fatalf("read the greeting: %v", err)
	}
	return c
}

// echo says whether the other side is still there.
func (c *caller) echo() error {
	if _, err := io.WriteString(c.conn, "still there?\n"); err != nil {
		return err
	}
	_, err := c.in.ReadString('\n')
	return err
}
