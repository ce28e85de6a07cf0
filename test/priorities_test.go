package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// processes are endpoints that can be killed, each a process of its own.
type processes struct {
	w         *world
	running   []*testnet.Process
	addresses []string
}

func startProcesses(w *world, n int) *processes {
	w.Helper()
	p := &processes{w: w, running: make([]*testnet.Process, n)}
	for i := range n {
		p.addresses = append(p.addresses, fmt.Sprintf("%s:%d", remoteIP, 7000+i))
		p.start(i)
	}
	return p
}

func (p *processes) start(i int) {
	p.w.Helper()
	cmd := p.w.remote.Command(p.w.roleProgram(), p.addresses[i])
	cmd.Env = append(os.Environ(), roleVar+"="+roleGreet)
	p.running[i] = p.w.remote.StartCommand(cmd)
	p.running[i].WaitLog("listening")
}

func (p *processes) kill(list ...int) {
	p.w.Helper()
	for _, i := range list {
		p.running[i].Kill()
	}
}

// spot is an endpoint as a configuration has it.
type spot struct{ address, more string }

// spots is the same keys for many endpoints.
func spots(addresses []string, more string) []spot {
	var list []spot
	for _, a := range addresses {
		list = append(list, spot{a, more})
	}
	return list
}

// poolText is a configuration of gateways whose endpoints have more keys than an
// address: those of pools[i] are of gateways[i].
func poolText(top string, gateways []gateway, pools ...[]spot) string {
	text := gatewayText(top, gateways...)
	for i, pool := range pools {
		var list strings.Builder
		for _, e := range pool {
			fmt.Fprintf(&list, "\n  - {address: \"%s\"%s}", e.address, commaBefore(e.more))
		}
		from := fmt.Sprintf("- name: %s\n  endpoints: []", gateways[i].name)
		text = strings.Replace(text, from, strings.TrimSuffix(from, " []")+list.String(), 1)
	}
	return text
}

// waitHealthy waits until so many endpoints of a cluster are healthy.
func (s *sidecar) waitHealthy(n int, cluster string) {
	s.w.Helper()
	s.waitMetric(float64(n), "envoy_cluster_membership_healthy", ofCluster(cluster))
}

// TestFailOver kills the processes of priority 0 one by one, and starts them
// again: load goes to priority 1 and comes back.
func TestFailOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := startProcesses(w, 4)
	s := startSidecar(w, poolText(quickDrain, []gateway{{name: "pool", port: 8081, cluster: quickCheck(0)}},
		append(spots(p.addresses[:2], "priority: 0"), spots(p.addresses[2:], "priority: 1")...)), asSidecar(redirect))
	const n = 300
	// share is what priority 0 serves of n connections. 70 % of them is 210, and
	// the standard deviation 8.
	share := func(healthy, least, most int) {
		t.Helper()
		s.waitHealthy(healthy, "pool")
		served := tally(w, w.client, podIP+":8081", n)
		between(t, fmt.Sprintf("with %d healthy, %v: priority 0", healthy, served), served[p.addresses[0]]+served[p.addresses[1]], least, most)
		if served["nobody"] > 0 {
			t.Errorf("with %d healthy: %v", healthy, served)
		}
	}
	share(4, n, n)
	p.kill(0)
	share(3, 160, 255) // one of two, by 1.4
	if got := explainedShare(s, "pool", p.addresses[0]); got != 70 {
		t.Errorf("sluice explain gives priority 0 %v %%", got)
	}
	p.kill(1)
	share(2, 0, 0)
	p.start(0)
	share(3, 160, 255)
	p.start(1)
	share(4, n, n)
	for _, e := range p.addresses {
		if !strings.Contains(s.process.Log(), e) && e < p.addresses[2] {
			t.Errorf("the log has no line about %s:\n%s", e, s.process.Log())
		}
	}
	s.waitMetric(0, "envoy_cluster_lb_healthy_panic")
	s.waitMetric(0, "envoy_cluster_upstream_cx_none_healthy")
}

// explainedShare is what sluice explain gives the endpoints of priority 0 if one
// endpoint is unhealthy, by the file that the sidecar runs.
func explainedShare(s *sidecar, cluster, unhealthy string) (percent float64) {
	s.w.Helper()
	out := s.host.Run(s.w.binary, "explain", "-c", s.file, "--cluster", cluster, "--assume-unhealthy", unhealthy, "-o", "json")
	var answer struct {
		Endpoints []struct {
			Percent  float64 `json:"percent"`
			Priority int     `json:"priority"`
		} `json:"endpoints"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		s.w.Fatal(err)
	}
	for _, e := range answer.Endpoints {
		if e.Priority == 0 {
			percent += e.Percent
		}
	}
	return percent
}

// TestPanic kills more and more of four processes, with three settings of the
// panic threshold.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := startProcesses(w, 4)
	four := "max_connect_attempts: 4"
	s := startSidecar(w, poolText(quickDrain, []gateway{
		{name: "half", port: 8081, tcp: four, cluster: quickCheck(0)},
		{name: "never", port: 8082, tcp: four, cluster: "healthy_panic_threshold: 0\n  " + quickCheck(0)},
		{name: "fail", port: 8083, tcp: four, cluster: "fail_traffic_on_panic: true\n  " + quickCheck(0)},
	}, spots(p.addresses, ""), spots(p.addresses, ""), spots(p.addresses, "")), asSidecar(redirect))
	clusters := []string{"half", "never", "fail"}
	all := func(healthy int) {
		t.Helper()
		for _, c := range clusters {
			s.waitHealthy(healthy, c)
		}
	}
	const n = 40
	served := func(i int) map[string]int { return tally(w, w.client, fmt.Sprintf("%s:%d", podIP, 8081+i), n) }
	noHealthy := ending{"proxy", "connect_failed", "UH"}

	all(4)
	p.kill(2, 3)
	all(2) // half of them: not below the threshold
	for i, c := range clusters {
		if got := served(i); got[p.addresses[0]]+got[p.addresses[1]] != n {
			t.Errorf("%s, two of four: %v", c, got)
		}
	}
	s.waitMetric(0, "envoy_cluster_lb_healthy_panic")

	p.kill(1)
	all(1)
	for i, c := range clusters[:2] {
		if got := served(i); got[p.addresses[0]] != n {
			t.Errorf("%s, one of four: %v", c, got)
		}
	}
	if panics := s.metrics().sum("envoy_cluster_lb_healthy_panic", ofCluster("half")); panics < n {
		t.Errorf("lb_healthy_panic is %v after %d connections in panic", panics, n)
	}
	s.waitMetric(0, "envoy_cluster_lb_healthy_panic", ofCluster("never"))
	failed := s.metrics().sum("envoy_cluster_upstream_cx_connect_fail", ofCluster("half"))
	if failed == 0 {
		t.Error("in panic the dead endpoints were not tried")
	}
	s.waitMetric(0, "envoy_cluster_upstream_cx_connect_fail", ofCluster("never"))
	for range 5 {
		if r := refused(s, w.client, podIP+":8083"); r.ending() != noHealthy || r.ConnectAttempts != 0 {
			t.Errorf("fail_traffic_on_panic: %+v", r)
		}
	}
	s.waitMetric(5, "envoy_cluster_lb_healthy_panic", ofCluster("fail"))
	s.waitMetric(5, "envoy_cluster_upstream_cx_none_healthy", ofCluster("fail"))

	p.kill(0)
	all(0)
	if r := refused(s, w.client, podIP+":8082"); r.ending() != noHealthy {
		t.Errorf("threshold 0, nobody there: %+v", r)
	}
	if r := refused(s, w.client, podIP+":8081"); r.Flags != "UF,URX" || r.ConnectAttempts != 4 {
		t.Errorf("panic, nobody there: %+v", r)
	}

	for i := range 4 {
		p.start(i)
	}
	all(4)
	before := s.metrics().sum("envoy_cluster_lb_healthy_panic")
	for i, c := range clusters {
		if got := served(i); got["nobody"] > 0 || len(got) != 4 {
			t.Errorf("%s, all back: %v", c, got)
		}
	}
	s.waitMetric(before, "envoy_cluster_lb_healthy_panic")
}

// TestDegraded has degraded endpoints, by configuration and by the header of a
// health check, serve what healthy ones cannot.
func TestDegraded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := startProcesses(w, 4)
	last := p.addresses[3]
	var degraded atomic.Bool
	serveDegraded(w, &degraded)
	byHeader := newServer(w, w.remote, remoteIP2+":7000")
	s := startSidecar(w, poolText(quickDrain, []gateway{
		{name: "status", port: 8081, cluster: "healthy_panic_threshold: 0\n  " + quickCheck(0)},
		{name: "header", port: 8082, cluster: "health_checks: [{type: http, port: 7991, interval: 50ms, no_traffic_interval: 50ms, timeout: 5s, healthy_threshold: 1, reuse_connection: false, http: {path: /}}]"},
	}, append(spots(p.addresses[:3], ""), spot{last, "health_status: degraded"}), []spot{{byHeader.address, ""}}), asSidecar(redirect))
	const n = 100
	s.waitHealthy(3, "status")
	s.waitMetric(1, "envoy_cluster_membership_degraded", ofCluster("status"))
	s.waitFlags("/degraded_eds_health", "status", last)
	for _, step := range []struct{ kill, healthy, least, most int }{
		{-1, 3, 0, 0},  // 75 %, times 1.4: healthy ones take all
		{0, 2, 10, 55}, // 30, standard deviation 5
		{1, 1, 25, 75}, // 25 % of either: half
		{2, 0, n, n},
	} {
		if step.kill >= 0 {
			p.kill(step.kill)
		}
		s.waitHealthy(step.healthy, "status")
		served := tally(w, w.client, podIP+":8081", n)
		between(t, fmt.Sprintf("%d healthy, %v: the degraded one", step.healthy, served), served[last], step.least, step.most)
		if served["nobody"] > 0 {
			t.Errorf("%d healthy: %v", step.healthy, served)
		}
	}
	degraded.Store(true)
	s.waitFlags("/degraded_active_hc", "header", byHeader.address)
	s.waitMetric(1, "envoy_cluster_membership_degraded", ofCluster("header"))
	if served := tally(w, w.client, podIP+":8082", n); served[byHeader.address] != n {
		t.Errorf("degraded by header: %v", served)
	}
	statuses := s.clusterStatuses()
	if got := statuses["status"].hosts[last]["eds_health_status"]; got != "DEGRADED" {
		t.Errorf("eds_health_status is %v", got)
	}
	if got := statuses["header"].hosts[byHeader.address]["failed_active_degraded_check"]; got != true {
		t.Errorf("failed_active_degraded_check is %v", got)
	}
	degraded.Store(false)
	s.waitFlags("healthy", "header", byHeader.address)
}

// serveDegraded answers health checks on port 7991.
func serveDegraded(w *world, degraded *atomic.Bool) {
	w.Helper()
	l := w.remote.Listen("tcp", remoteIP2+":7991")
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if degraded.Load() {
			rw.Header().Set("x-envoy-degraded", "true")
		}
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	w.Cleanup(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			w.Error(err)
		}
	})
}

// TestLocalityWeights has load follow the weights of localities, not the number
// of their endpoints, and their health.
func TestLocalityWeights(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := startProcesses(w, 4)
	x, y := "locality: {region: x}, locality_weight: 1", "locality: {region: y}, locality_weight: 3"
	s := startSidecar(w, poolText(quickDrain, []gateway{{name: "pool", port: 8081, cluster: "locality_weighted: true\n  lb_policy: random\n  " + quickCheck(0)}},
		append(spots(p.addresses[:3], x), spot{p.addresses[3], y})), asSidecar(redirect))
	s.waitHealthy(4, "pool")
	const n = 400
	served := tally(w, w.client, podIP+":8081", n)
	between(t, fmt.Sprintf("%v: locality y", served), served[p.addresses[3]], 250, 350) // 300, standard deviation 9
	p.kill(0, 1)                                                                        // x: a third of 1, by 1.4
	s.waitHealthy(2, "pool")
	served = tally(w, w.client, podIP+":8081", n)
	between(t, fmt.Sprintf("%v: the one left of x", served), served[p.addresses[2]], 25, 85) // 54, standard deviation 7
	if served["nobody"] > 0 || len(served) != 2 {
		t.Errorf("served by %v", served)
	}
	p.kill(3)
	s.waitHealthy(1, "pool") // below the panic threshold: all are tried
	served = tally(w, w.client, podIP+":8081", 20)
	if served[p.addresses[2]]+served["nobody"] != 20 {
		t.Errorf("served by %v", served)
	}
}

// TestAttemptsGoToTheNextPriority has all of priority 0 refuse, with nobody that
// checks it: the same connection goes on to priority 1.
func TestAttemptsGoToTheNextPriority(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	up := newServer(w, w.remote, remoteIP+":7000")
	dead := []string{fmt.Sprintf("%s:%d", remoteIP, closedPort), fmt.Sprintf("%s:%d", remoteIP2, closedPort)}
	pool := append(spots(dead, "priority: 0"), spot{up.address, "priority: 1"})
	s := startSidecar(w, poolText(quickDrain, []gateway{
		{name: "three", port: 8081},
		{name: "two", port: 8082, tcp: "max_connect_attempts: 2"},
	}, pool, pool), asSidecar(redirect))
	for range 4 {
		if server, _, r := converse(s, w.client, podIP+":8081"); server != up.address || r.ConnectAttempts != 3 || r.Flags != "-" {
			t.Errorf("served by %s: %+v", server, r)
		}
		if r := refused(s, w.client, podIP+":8082"); r.Flags != "UF,URX" || r.ConnectAttempts != 2 {
			t.Errorf("record %+v", r)
		}
	}
	s.waitMetric(4, "envoy_cluster_upstream_cx_connect_attempts_exceeded", ofCluster("two"))
}
