package test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// outage is a way for an application to be of no use.
type outage struct {
	name    string
	service service
	begin   func(p *testnet.Process)
	end     func(w *world, h *testnet.Host, p *testnet.Process) *testnet.Process
	reason  string // what /app-health says
	refuses bool   // clients learn of it: their connections are reset
}

func outages() []outage {
	own, web := ownService(9080), webService(8080)
	kill := func(p *testnet.Process) { p.Kill() }
	restart := func(s service) func(*world, *testnet.Host, *testnet.Process) *testnet.Process {
		return func(w *world, h *testnet.Host, _ *testnet.Process) *testnet.Process { return s.start(w, h) }
	}
	begin := func(s syscall.Signal) func(*testnet.Process) { return func(p *testnet.Process) { p.Signal(s) } }
	end := func(s syscall.Signal) func(*world, *testnet.Host, *testnet.Process) *testnet.Process {
		return func(_ *world, _ *testnet.Host, p *testnet.Process) *testnet.Process { p.Signal(s); return p }
	}
	const silence = "connected, but neither bytes nor a FIN came"
	return []outage{
		{"killed", own, kill, restart(own), "connection refused", true},
		{"stopped", own, begin(syscall.SIGSTOP), end(syscall.SIGCONT), silence, false},
		{"accepts and says nothing", own, begin(syscall.SIGUSR1), end(syscall.SIGUSR2), silence, false},
		{"nginx killed", web, kill, restart(web), "connection refused", true},
		{"nginx stopped", web, begin(syscall.SIGSTOP), end(syscall.SIGCONT), silence, false},
	}
}

// TestTwoStages breaks an application behind a live sidecar in each way. A check
// that connects never notices; the one that asks the sidecar does, traffic
// moves to the other pod, and comes back with the application.
func TestTwoStages(t *testing.T) {
	t.Parallel()
	testnet.Need(t, "nginx")
	w := newMeshWorld(t)
	own, web := ownService(9080), webService(8080)
	apps := map[int]*testnet.Process{own.port: own.start(w, w.client), web.port: web.start(w, w.client)}
	own.start(w, w.remote)
	web.start(w, w.remote)
	m := newMesh(w, "{learn: true, check: {type: tcp, interval: 100ms, timeout: 500ms, tcp: {expect_reaction: true}}}", own.port, web.port)
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			sub := *m
			sub.world = m.at(t)
			sub.caller, sub.first, sub.second = m.caller.in(t), m.first.in(t), m.second.in(t)
			apps[o.service.port] = sub.suffer(o, apps[o.service.port])
		})
	}
}

// suffer has the first pod's application go through an outage, and returns the
// one that runs afterwards.
func (m *mesh) suffer(o outage, app *testnet.Process) *testnet.Process {
	m.Helper()
	port := o.service.port
	staged, plain := fmt.Sprintf("staged-%d", port), fmt.Sprintf("plain-%d", port)
	m.waitHealthy(2, staged)
	m.waitHealthy(2, plain)
	if by := m.servedBy(o.service, stagedVIP, 4); by[firstIP] != 2 || by[secondIP] != 2 {
		m.Errorf("before, connections are served by %v", by)
	}

	began := m.caller.metrics()
	o.begin(app)
	if body := m.waitAppHealth(firstIP, port, http.StatusServiceUnavailable); !strings.Contains(body, o.reason) {
		m.Errorf("the sidecar says %q, want %q in it", body, o.reason)
	}
	m.waitHealthy(1, staged)
	if by := m.servedBy(o.service, stagedVIP, 6); by[secondIP] != 6 {
		m.Errorf("meanwhile, connections are served by %v", by)
	}
	most := 0.0
	if o.refuses {
		most = 2 // a caller that stalls may learn of the reset after its own connect
	}
	before := m.caller.metrics()
	m.eventually(func() error { return m.onlyGood(plain, began, before, most) })
	m.waitHealthy(2, plain)
	if o.refuses {
		m.plainFails(port)
	}

	app = o.end(m.world, m.client, app)
	m.waitAppHealth(firstIP, port, http.StatusOK)
	m.waitHealthy(2, staged)
	if by := m.servedBy(o.service, stagedVIP, 4); by[firstIP] != 2 || by[secondIP] != 2 {
		m.Errorf("afterwards, connections are served by %v", by)
	}
	return app
}

// plainFails expects that the check that connects leaves half of the clients
// with the broken pod.
func (m *mesh) plainFails(port int) {
	m.Helper()
	for range 2 {
		r := attempt(m.caller, m.pod, fmt.Sprintf("%s:%d", plainVIP, port))
		if host(r.UpstreamHost) != firstIP {
			continue
		}
		if r.BytesSent != 0 || r.ClosedBy != "upstream" {
			m.Errorf("at the broken pod: %+v", r)
		}
		return
	}
	m.Error("the plain check keeps clients from the broken pod")
}

// TestTwoStagesInChecks counts how many checks it takes: the sidecar's own up to
// its threshold, and one of the other sidecar's. Were it one more, it would come
// an hour later.
func TestTwoStagesInChecks(t *testing.T) {
	t.Parallel()
	w := newMeshWorld(t)
	const port, threshold = 9080, 3
	var mute atomic.Bool
	var unanswered atomic.Int32
	over := make(chan struct{})
	serve(w, w.client.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port)), func(conn *net.TCPConn) {
		if !mute.Load() {
			greet(conn)
			return
		}
		unanswered.Add(1)
		<-over // reads nothing, closes nothing
	})
	t.Cleanup(func() { close(over) })
	serveGreeting(w, w.remote, fmt.Sprintf("0.0.0.0:%d", port))
	check := fmt.Sprintf("{type: tcp, interval: 100ms, timeout: 3s, unhealthy_threshold: %d, unhealthy_edge_interval: 100ms, unhealthy_interval: 1h, tcp: {expect_reaction: true}}", threshold)
	inbound := inboundHealthText(fmt.Sprintf("{ports: [{port: %d, address: \"127.0.0.1:%[1]d\", check: %s}]}", port, check), port)
	first := startSidecar(w, inbound, launch{host: w.client, uid: sidecarID, checks: 1})
	second := startSidecar(w, inbound, launch{host: w.remote, uid: sidecarID, checks: 1})
	// The other cluster's check must not reach the application: it would be counted.
	text := strings.NewReplacer("no_traffic_interval: 100ms", "no_traffic_interval: 100ms, unhealthy_interval: 1h",
		"type: tcp", "type: tcp, port: 15021").Replace(stagedText(port))
	caller := startSidecar(w, text, launch{uid: sidecarID, checks: 4})
	m := &mesh{w, caller, first, second}
	if by := m.servedBy(ownService(port), stagedVIP, 2); by[firstIP] != 1 {
		t.Fatalf("before, connections are served by %v", by)
	}

	mute.Store(true)
	m.waitHealthy(1, "staged-9080")
	if by := m.servedBy(ownService(port), stagedVIP, 4); by[secondIP] != 4 {
		t.Errorf("connections are served by %v", by)
	}
	if n := unanswered.Load(); n != threshold {
		t.Errorf("the sidecar has asked its application %d times, want %d", n, threshold)
	}
	now := caller.metrics()
	if n := now.sum("envoy_cluster_health_check_failure", ofCluster("staged-9080")); n != 1 {
		t.Errorf("the other sidecar has needed %v failed checks, want 1", n)
	}
	if n := now.sum("envoy_cluster_health_check_network_failure", ofCluster("staged-9080")); n != 0 {
		t.Errorf("%v of them failed by the network", n)
	}
	caller.process.WaitLog(`"event":"eject_unhealthy"`)
	wantText(t, caller.process.Log(), `"event":"eject_unhealthy"`, `"endpoint":"10.4.0.9:9080"`, "503")
}
