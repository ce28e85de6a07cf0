package test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
)

// ejection is an entry of the outlier event log, by Envoy's names.
type ejection struct {
	Type     string `json:"type"`
	Cluster  string `json:"cluster_name"`
	Address  string `json:"upstream_url"`
	Action   string `json:"action"`
	Times    int    `json:"num_ejections"`
	Enforced bool   `json:"enforced"`
}

// ejections are the lines of outlier detection in the daemon's log.
func (s *sidecar) ejections(cluster, action string) []ejection {
	s.w.Helper()
	var events []ejection
	for line := range strings.Lines(s.process.Log()) {
		var entry struct {
			Event *ejection `json:"event"`
		}
		if !strings.Contains(line, `"num_ejections"`) || json.Unmarshal([]byte(line), &entry) != nil || entry.Event == nil {
			continue
		}
		if e := entry.Event; e.Cluster == cluster && e.Action == action {
			events = append(events, *e)
		}
	}
	return events
}

// waitEjection waits for the log to tell of an ejection: the metrics are there
// before.
func (s *sidecar) waitEjection(cluster string) (events []ejection) {
	s.w.Helper()
	s.w.eventually(func() error {
		if events = s.ejections(cluster, "EJECT"); len(events) == 0 {
			return fmt.Errorf("the log tells of no ejection in %s", cluster)
		}
		return nil
	})
	return events
}

// healthFlags is what /clusters says of an endpoint.
func (s *sidecar) healthFlags(cluster, address string) string {
	s.w.Helper()
	prefix := cluster + "::" + address + "::health_flags::"
	for line := range strings.Lines(s.admin("/clusters")) {
		if flags, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
			return flags
		}
	}
	s.w.Fatalf("/clusters has no line %s", prefix)
	return ""
}

// waitFlags waits for what /clusters says of an endpoint.
func (s *sidecar) waitFlags(want, cluster, address string) {
	s.w.Helper()
	s.w.eventually(func() error {
		if have := s.healthFlags(cluster, address); have != want {
			return fmt.Errorf("%s of %s is %q, want %q", address, cluster, have, want)
		}
		return nil
	})
}

// failing is a way of failing that outlier detection sees.
type failing struct {
	name   string
	detect string // what the statistics call it
	event  string
	keys   string // of outlier_detection
	fail   func(*server)
	mend   func(*server)
	spared bool // clients do not notice: the next endpoint takes them
}

func failings() []failing {
	becomes := func(m manner) func(*server) { return func(e *server) { e.be(m) } }
	return []failing{
		{"refuses", "consecutive_local_origin_failure", "CONSECUTIVE_LOCAL_ORIGIN_FAILURE", "consecutive_local_origin_failure: 3",
			(*server).refuse, (*server).listen, true},
		{"closes-early", "consecutive_early_close", "CONSECUTIVE_EARLY_CLOSE", "consecutive_early_close: 3, early_close_window: 1m",
			becomes(resets), becomes(greets), false},
		{"half-closes", "consecutive_early_close", "CONSECUTIVE_EARLY_CLOSE", "consecutive_early_close: 3, early_close_window: 1m",
			becomes(shuts), becomes(greets), false}, // and clients stay
		{"silent", "consecutive_first_byte_timeout", "CONSECUTIVE_FIRST_BYTE_TIMEOUT", "consecutive_first_byte_timeout: 3, first_byte_timeout: 1s",
			becomes(saysNothing), becomes(greets), false},
	}
}

// TestEjection has one of two endpoints fail in each way that is detected: it
// is ejected, seen to be, and in a cluster with short ejections comes back when
// it works again.
func TestEjection(t *testing.T) {
	t.Parallel()
	for _, f := range failings() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			good, bad := newServer(w, w.remote, remoteIP+":7000"), newServer(w, w.remote, remoteIP2+":7000")
			detection := func(times string) string {
				return fmt.Sprintf("outlier_detection: {interval: 50ms, %s, max_ejection_percent: 50, %s}", times, f.keys)
			}
			both := []string{good.address, bad.address}
			s := startSidecar(w, gatewayText(quickDrain,
				gateway{name: "long", port: 8081, endpoints: both, cluster: detection("base_ejection_time: 1h, max_ejection_time: 1h")},
				gateway{name: "short", port: 8082, endpoints: both, cluster: detection("base_ejection_time: 50ms, max_ejection_time: 100ms")},
			), asSidecar(redirect))
			f.fail(bad)
			waitEjected(s, f, bad)
			// DC: prod went before sluice had found another endpoint.
			for _, r := range s.filter(func(r record) bool { return f.spared && r.Flags != "-" && r.Flags != "DC" }) {
				t.Errorf("a client has noticed: %+v", r)
			}
			served := tally(w, w.client, podIP+":8081", 20)
			if served[good.address] != 20 {
				t.Errorf("with %s ejected: %v", bad.address, served)
			}
			waitReturned(s, f, bad)
		})
	}
}

// prod has clients call until check says nothing. They say a word and hold on,
// as a client of a server that is silent would.
func prod(s *sidecar, address string, check func() error) {
	s.w.Helper()
	var held []*net.TCPConn
	s.w.eventually(func() error {
		conn, err := s.w.client.Dial("tcp", address)
		if err == nil {
			own(s.w, conn)
			held = append(held, conn.(*net.TCPConn))
			_, _ = conn.Write([]byte("hello?\n")) // it may be reset already
		}
		return check()
	})
	for _, conn := range held {
		reset(conn)
	}
}

func waitEjected(s *sidecar, f failing, bad *server) {
	s.w.Helper()
	prod(s, podIP+":8081", func() error {
		if flags := s.healthFlags("long", bad.address); flags != "/failed_outlier_check" {
			return fmt.Errorf("health_flags of %s: %s", bad.address, flags)
		}
		return nil
	})
	of := ofCluster("long")
	for _, name := range []string{"ejections_active", "ejections_enforced_total", "ejections_enforced_" + f.detect, "ejections_detected_" + f.detect} {
		s.waitMetric(1, "envoy_cluster_outlier_detection_"+name, of)
	}
	s.waitMetric(0, "envoy_cluster_outlier_detection_ejections_overflow", of)
	s.waitMetric(1, "envoy_cluster_membership_healthy", of)
	s.waitMetric(2, "envoy_cluster_membership_total", of)
	if events := s.waitEjection("long"); len(events) != 1 || events[0].Type != f.event || events[0].Address != bad.address || !events[0].Enforced {
		s.w.Errorf("events of the ejection: %+v", events)
	}
}

// waitReturned has the endpoint ejected and mended, and wants it to serve again.
func waitReturned(s *sidecar, f failing, bad *server) {
	s.w.Helper()
	prod(s, podIP+":8082", func() error {
		if len(s.ejections("short", "EJECT")) == 0 {
			return fmt.Errorf("%s is not ejected", bad.address)
		}
		return nil
	})
	f.mend(bad)
	s.w.eventually(func() error {
		if n := tally(s.w, s.w.client, podIP+":8082", 4)[bad.address]; n == 0 {
			return fmt.Errorf("%s does not serve again", bad.address)
		}
		return nil
	})
	s.waitFlags("healthy", "short", bad.address)
	s.waitMetric(0, "envoy_cluster_outlier_detection_ejections_active", ofCluster("short"))
	s.waitMetric(2, "envoy_cluster_membership_healthy", ofCluster("short"))
	s.w.eventually(func() error {
		events := s.ejections("short", "UNEJECT")
		if len(events) == 0 || events[0].Address != bad.address {
			return fmt.Errorf("events of the return: %+v", events)
		}
		return nil
	})
	// The other cluster keeps it away.
	s.waitFlags("/failed_outlier_check", "long", bad.address)
}

// TestEjectionBySuccessRate has one of six endpoints fail, and nothing look for
// failures in a row.
func TestEjectionBySuccessRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	servers, addresses := newServers(w, 6)
	bad := servers[2]
	s := startSidecar(w, gatewayText(quickDrain, gateway{name: "rates", port: 8081, endpoints: addresses,
		cluster: "outlier_detection: {interval: 3s, base_ejection_time: 1h, max_ejection_time: 1h, max_ejection_percent: 50, " +
			"enforcing_consecutive_local_origin_failure: 0, success_rate_request_volume: 5}"}), asSidecar(redirect))
	bad.refuse()
	w.eventually(func() error {
		if served := tally(w, w.client, podIP+":8081", 40); served["nobody"] > 0 {
			t.Errorf("clients have noticed: %v", served)
		}
		if flags := s.healthFlags("rates", bad.address); flags != "/failed_outlier_check" {
			return fmt.Errorf("health_flags of %s: %s", bad.address, flags)
		}
		return nil
	})
	w.eventually(func() error { // flags may be seen before the log
		events := s.waitEjection("rates")
		if last := events[len(events)-1]; last.Type != "SUCCESS_RATE_LOCAL_ORIGIN" || last.Address != bad.address || !last.Enforced {
			return fmt.Errorf("event %+v", last)
		}
		return nil
	})
	s.waitMetric(1, "envoy_cluster_outlier_detection_ejections_enforced_local_origin_success_rate")
	s.waitMetric(1, "envoy_cluster_outlier_detection_ejections_active")
	if detected := s.metrics().sum("envoy_cluster_outlier_detection_ejections_detected_consecutive_local_origin_failure"); detected == 0 {
		t.Error("failures in a row are not even counted")
	}
	if served := tally(w, w.client, podIP+":8081", 20); served[bad.address] != 0 || served["nobody"] != 0 {
		t.Errorf("served by %v", served)
	}
}

// TestMaxEjectionPercent has three of four endpoints refuse where half may be
// ejected, and where the default lets none.
func TestMaxEjectionPercent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	servers, addresses := newServers(w, 4)
	const long = "interval: 50ms, base_ejection_time: 1h, max_ejection_time: 1h, consecutive_local_origin_failure: 2"
	s := startSidecar(w, gatewayText(quickDrain,
		gateway{name: "half", port: 8081, endpoints: addresses, tcp: "max_connect_attempts: 4",
			cluster: "outlier_detection: {max_ejection_percent: 50, " + long + "}"},
		gateway{name: "default", port: 8082, endpoints: addresses, tcp: "max_connect_attempts: 4", cluster: "outlier_detection: {" + long + "}"},
	), asSidecar(redirect))
	for _, e := range servers[1:] {
		e.refuse()
	}
	for _, port := range []int{8081, 8082} {
		w.eventually(func() error {
			if served := tally(w, w.client, fmt.Sprintf("%s:%d", podIP, port), 8); served[servers[0].address] != 8 {
				return fmt.Errorf("served by %v", served)
			}
			if s.metrics().sum("envoy_cluster_outlier_detection_ejections_overflow", ofCluster(map[int]string{8081: "half", 8082: "default"}[port])) == 0 {
				return fmt.Errorf("no ejection was one too many")
			}
			return nil
		})
	}
	s.waitMetric(2, "envoy_cluster_outlier_detection_ejections_active", ofCluster("half"))
	s.waitMetric(2, "envoy_cluster_outlier_detection_ejections_enforced_total", ofCluster("half"))
	s.waitMetric(0, "envoy_cluster_outlier_detection_ejections_enforced_total", ofCluster("default"))
	if log := s.process.Log(); !strings.Contains(log, "max_ejection_percent 10 lets none of 4 endpoint(s) be ejected") {
		t.Errorf("nothing is said of it at the start:\n%s", log)
	}
}

// TestHostFaultsEjectNobody takes away source ports, then descriptors: endpoints
// are not blamed for it.
func TestHostFaultsEjectNobody(t *testing.T) {
	t.Parallel()
	const detection = "outlier_detection: {interval: 50ms, base_ejection_time: 1h, max_ejection_time: 1h, max_ejection_percent: 100, consecutive_local_origin_failure: 1}"
	for _, tc := range []struct {
		name, errno string
		ports       int
		before      []string
	}{
		{"ports", "EADDRNOTAVAIL", 4, nil},
		{"descriptors", "EMFILE", 0, []string{"prlimit", "--nofile=64:64"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			endpoint := newServer(w, w.remote, remoteIP+":7000")
			if tc.ports > 0 {
				w.pod.Sysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("40000 %d", 40000+tc.ports-1))
			}
			l := asSidecar(redirect)
			l.before = tc.before
			s := startSidecar(w, gatewayText(quickDrain, gateway{name: "one", port: 8081, endpoints: []string{endpoint.address}, cluster: detection}), l)
			held := holdUntil(s, tc.errno)
			for _, conn := range held {
				reset(conn)
			}
			s.waitMetric(0, "envoy_cluster_outlier_detection_ejections_enforced_total")
			s.waitMetric(0, "envoy_cluster_outlier_detection_ejections_detected_consecutive_local_origin_failure")
			s.waitFlags("healthy", "one", endpoint.address)
			if text := s.admin("/clusters"); !strings.Contains(text, "one::"+endpoint.address+"::cx_connect_fail::0\n") {
				t.Errorf("the endpoint is blamed:\n%s", text)
			}
			s.waitMetric(0, "envoy_cluster_upstream_cx_active")
			w.eventually(func() error { // what waits in the queues may be reset first
				_, err := whoServes(w.client, &net.Dialer{Timeout: patience}, podIP+":8081")
				return err
			})
		})
	}
}

// holdUntil opens connections and keeps them until some have failed by an error
// of this host. Each takes two descriptors: where none of them fails for want of one,
// a connection to the admin port comes or goes, so that there is an odd one or an even one.
func holdUntil(s *sidecar, errno string) (held []*net.TCPConn) {
	s.w.Helper()
	const wanted = 3
	var odd net.Conn
	before := 0
	s.w.eventually(func() error {
		conn, err := s.w.client.Dial("tcp", podIP+":8081")
		if err == nil {
			own(s.w, conn)
			held = append(held, conn.(*net.TCPConn))
			_, _, err = talk(conn)
		}
		failed := len(s.filter(func(r record) bool { return r.Errno == errno }))
		if failed >= wanted {
			return nil
		}
		if err != nil && len(held) > 2 && failed == before {
			reset(held[0])
			held = held[1:]
			if errno == "EMFILE" {
				odd = toggle(s, odd)
			}
		}
		before = failed
		return fmt.Errorf("%d connections failed with %s", failed, errno)
	})
	return held
}

// toggle closes a connection to the admin port, or opens one if there is none.
func toggle(s *sidecar, conn net.Conn) net.Conn {
	if conn != nil {
		conn.Close()
		return nil
	}
	conn, err := s.host.Dial("tcp", "127.0.0.1:15000")
	if err != nil {
		return nil
	}
	own(s.w, conn)
	return conn
}

// TestHealthCheckEndsEjection has an endpoint refuse connections whose health
// checks pass, on another port: it is let back at once, unless that is turned off.
func TestHealthCheckEndsEjection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, bad := newServer(w, w.remote, remoteIP+":7000"), newServer(w, w.remote, remoteIP2+":7000")
	for _, ip := range []string{remoteIP, remoteIP2} {
		newServer(w, w.remote, fmt.Sprintf("%s:%d", ip, checkPort))
	}
	detection := func(more string) string {
		return "outlier_detection: {base_ejection_time: 1h, max_ejection_time: 1h, max_ejection_percent: 50, consecutive_local_origin_failure: 2" + more + "}\n  " + quickCheck(checkPort)
	}
	both := []string{good.address, bad.address}
	s := startSidecar(w, gatewayText(quickDrain,
		gateway{name: "on", port: 8081, endpoints: both, cluster: detection("")},
		gateway{name: "off", port: 8082, endpoints: both, cluster: detection(", successful_active_health_check_uneject_host: false")},
	), asSidecar(redirect))
	s.waitHealthy(2, "on")
	s.waitHealthy(2, "off")
	bad.refuse()
	for i, name := range []string{"on", "off"} {
		w.eventually(func() error {
			if served := tally(w, w.client, fmt.Sprintf("%s:%d", podIP, 8081+i), 4); served[good.address] != 4 {
				t.Errorf("%s: served by %v", name, served)
			}
			if len(s.ejections(name, "EJECT")) == 0 {
				return fmt.Errorf("%s: %s is not ejected", name, bad.address)
			}
			return nil
		})
	}
	w.eventually(func() error {
		if len(s.ejections("on", "UNEJECT")) == 0 {
			return fmt.Errorf("%s is not let back", bad.address)
		}
		return nil
	})
	s.waitFlags("/failed_outlier_check", "off", bad.address)
	if events := s.ejections("off", "UNEJECT"); len(events) > 0 {
		t.Errorf("let back although that is off: %+v", events)
	}
}

// TestEjectionOfMostIsPanic has three of four endpoints ejected, all that may be:
// with fewer than half left, health does not matter any more, and clients are
// served by further attempts.
func TestEjectionOfMostIsPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	servers, addresses := newServers(w, 4)
	s := startSidecar(w, gatewayText(quickDrain, gateway{name: "most", port: 8081, endpoints: addresses, tcp: "max_connect_attempts: 4",
		cluster: "outlier_detection: {base_ejection_time: 1h, max_ejection_time: 1h, max_ejection_percent: 100, consecutive_local_origin_failure: 2}"}), asSidecar(redirect))
	for _, e := range servers[1:] {
		e.refuse()
	}
	w.eventually(func() error {
		if served := tally(w, w.client, podIP+":8081", 8); served[servers[0].address] != 8 {
			t.Errorf("served by %v", served)
		}
		if n := s.metrics().sum("envoy_cluster_outlier_detection_ejections_active"); n != 3 {
			return fmt.Errorf("%v are ejected", n)
		}
		return nil
	})
	s.waitHealthy(1, "most")
	before := s.metrics().sum("envoy_cluster_lb_healthy_panic")
	if served := tally(w, w.client, podIP+":8081", 8); served[servers[0].address] != 8 {
		t.Errorf("in panic served by %v", served)
	}
	if after := s.metrics().sum("envoy_cluster_lb_healthy_panic"); after < before+8 {
		t.Errorf("lb_healthy_panic went from %v to %v in 8 connections", before, after)
	}
}
