package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// The pods of a mesh: a caller that has an outbound sidecar, and two servers
// behind inbound ones.
//
//	caller 10.4.0.5, 10.4.1.5 --- 10.4.0.9 first
//	                          --- 10.4.1.12 second
const (
	firstIP  = clientIP
	secondIP = remoteIP
)

// stagedVIP and plainVIP are service addresses that lead to both servers: the
// one with the two-stage check, the other with a check that connects.
const stagedVIP, plainVIP = "10.96.0.20", "10.96.0.21"

// mesh is a world whose three hosts are pods.
type mesh struct {
	*world
	caller        *sidecar
	first, second *sidecar
}

// newMeshWorld is a world in which all three hosts capture.
func newMeshWorld(t *testing.T) *world {
	t.Helper()
	testnet.Need(t, "ip", "iptables", "ip6tables")
	n := testnet.New(t)
	w := &world{T: t, net: n, client: n.Host("first"), pod: n.Host("caller"), remote: n.Host("second"), binary: os.Getenv(binaryVar), ports: new(atomic.Int32)}
	n.Link(w.pod, podIP+"/24", w.client, firstIP+"/24")
	n.Link(w.pod, podFarIP+"/24", w.remote, secondIP+"/24")
	w.pod.Route("default", secondIP)
	for _, h := range []*testnet.Host{w.pod, w.client, w.remote} {
		h.Run(w.binary, "iptables", "apply")
	}
	return w
}

// newMesh runs the sidecars of a mesh: the servers' with app_health, an inline
// map, and the caller's with the two kinds of checks for each port.
func newMesh(w *world, appHealth string, ports ...int) *mesh {
	w.Helper()
	m := &mesh{world: w}
	inbound := inboundHealthText(appHealth, ports...)
	probes := 2 * (len(ports) + 2)
	m.first = startSidecar(w, inbound, launch{host: w.client, uid: sidecarID, checks: probes})
	m.second = startSidecar(w, inbound, launch{host: w.remote, uid: sidecarID, checks: probes})
	m.caller = startSidecar(w, stagedText(ports...), launch{uid: sidecarID, checks: 4 * len(ports)})
	return m
}

// inboundHealthText is a server's sidecar, with a chain for each port.
func inboundHealthText(appHealth string, ports ...int) string {
	var chains strings.Builder
	for _, port := range ports {
		fmt.Fprintf(&chains, "  - {name: inbound-%d, match: {destination_port: %[1]d}, tcp_proxy: {cluster: inbound}}\n", port)
	}
	return head + quickDrain + "app_health: " + appHealth + `
listeners:
- name: virtualInbound
  address: 0.0.0.0:15006
  direction: inbound
  interception_mode: redirect
  filter_chains:
` + chains.String() + `clusters:
- {name: inbound, type: original_dst, upstream_bind_address: 127.0.0.6}
`
}

// stagedText is the caller's sidecar: cluster staged-PORT asks the servers'
// sidecars, plain-PORT connects.
func stagedText(ports ...int) string {
	var chains, clusters strings.Builder
	for _, port := range ports {
		for _, kind := range []struct{ name, vip, check string }{
			{"staged", stagedVIP, fmt.Sprintf("type: http, port: 15021, http: {path: /app-health/%d}", port)},
			{"plain", plainVIP, "type: tcp"},
		} {
			name := fmt.Sprintf("%s-%d", kind.name, port)
			fmt.Fprintf(&chains, "  - {name: %s, match: {destination_port: %d, prefix_ranges: [%s/32]}, tcp_proxy: {cluster: %[1]s, max_connect_attempts: 1}}\n", name, port, kind.vip)
			fmt.Fprintf(&clusters, "- name: %s\n  endpoints: [{address: \"%s:%d\"}, {address: \"%s:%[3]d\"}]\n", name, firstIP, port, secondIP)
			fmt.Fprintf(&clusters, "  health_checks: [{%s, timeout: 10s, interval: 100ms, no_traffic_interval: 100ms}]\n", kind.check)
		}
	}
	return head + quickDrain + `
listeners:
- name: virtualOutbound
  address: 0.0.0.0:15001
  direction: outbound
  interception_mode: redirect
  filter_chains:
` + chains.String() + `  default_filter_chain: {name: passthrough, tcp_proxy: {cluster: Passthrough}}
clusters:
- {name: Passthrough, type: original_dst}
` + clusters.String()
}

// startApplication runs roleApplication on a host.
func startApplication(h *testnet.Host, port int) *testnet.Process {
	cmd := h.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"="+roleApplication, fmt.Sprintf("%s=0.0.0.0:%d", addressVar, port))
	p := h.StartCommand(cmd)
	p.WaitListen(uint16(port))
	return p
}

// startWeb runs an nginx on a host that says which address was asked.
func startWeb(w *world, h *testnet.Host, port int) *testnet.Process {
	w.Helper()
	place := &place{world: w, host: h.As(userID, userID), dir: filepath.Join(w.net.Dir(), h.String()+"-web")}
	place.host.Run("mkdir", "-p", "-m", "700", place.dir)
	p := runNginx(place, fmt.Sprintf("listen %d; return 200 \"$server_addr:$server_port ok\";", port))
	p.WaitListen(uint16(port))
	return p
}

// service is a kind of application.
type service struct {
	port  int
	start func(w *world, h *testnet.Host) *testnet.Process
	ask   func(w *world, conn net.Conn) (server string) // of one that works
}

func ownService(port int) service {
	return service{port,
		func(_ *world, h *testnet.Host) *testnet.Process { return startApplication(h, port) },
		func(w *world, conn net.Conn) string {
			server, _, err := talk(conn)
			if err != nil {
				w.Errorf("talk to the application: %v", err)
			}
			return server
		}}
}

func webService(port int) service {
	return service{port,
		func(w *world, h *testnet.Host) *testnet.Process { return startWeb(w, h, port) },
		func(w *world, conn net.Conn) string {
			server, _, _ := strings.Cut(ask(w, conn), " ")
			return server
		}}
}

// servedBy is who serves so many connections to a service address.
func (m *mesh) servedBy(s service, vip string, count int) map[string]int {
	m.Helper()
	servers := make(map[string]int)
	for range count {
		conn := dial(m.world, m.pod, fmt.Sprintf("%s:%d", vip, s.port))
		servers[host(s.ask(m.world, conn))]++
		conn.Close()
	}
	return servers
}

// healthy is how many endpoints a cluster of the caller's takes for healthy.
func (m *mesh) waitHealthy(want int, cluster string) {
	m.Helper()
	m.caller.waitMetric(float64(want), "envoy_cluster_membership_healthy", ofCluster(cluster))
}

// appHealth asks a sidecar, from another host, for the health of its
// application.
func (s *sidecar) appHealth(from *testnet.Host, ip string, port any) (status int, body string) {
	s.w.Helper()
	status, body, err := s.get(from, fmt.Sprintf("http://%s:15021/app-health/%v", ip, port))
	if err != nil {
		s.w.Fatal(err)
	}
	return status, body
}

// waitAppHealth waits for a status, and returns what the body says.
func (m *mesh) waitAppHealth(ip string, port, want int) (body string) {
	m.Helper()
	m.eventually(func() error {
		status, text := m.first.appHealth(m.pod, ip, port)
		if body = text; status != want {
			return fmt.Errorf("%s says %d, %s", ip, status, text)
		}
		return nil
	})
	return body
}

// onlyGood says whether plain checks have passed, more often than before, and no more
// than so many have failed since the outage began.
func (m *mesh) onlyGood(cluster string, began, before scrape, most float64) error {
	now := m.caller.metrics()
	failed, passed := "envoy_cluster_health_check_failure", "envoy_cluster_health_check_success"
	if n := now.sum(failed, ofCluster(cluster)) - began.sum(failed, ofCluster(cluster)); n > most {
		return fmt.Errorf("%v plain checks have failed", n)
	}
	const rounds, endpoints = 5, 2
	if n := now.sum(passed, ofCluster(cluster)) - before.sum(passed, ofCluster(cluster)); n < rounds*endpoints {
		return errors.New("too few plain checks yet")
	}
	return nil
}
