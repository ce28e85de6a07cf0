package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOutOfDescriptors lets clients take every descriptor that sluice may
// have.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.pod, podIP+":7000")
	w.applyRules(redirect)
	l := asSidecar(redirect)
	l.before = []string{"prlimit", "--nofile=128:128"}
	s := startSidecar(w, sidecarText(settings{mode: redirect}), l)
	const family = "sluice_listener_accept_errors_total"
	held := exhaust(s, podIP+":7000", 200)
	first := s.metrics().sum(family)
	if first > 2000 {
		t.Errorf("%v accepts have failed: it spins", first)
	}
	if ready, err := s.ready(); !ready || err != nil {
		t.Errorf("without descriptors: ready %t, %v", ready, err)
	}
	if out := w.pod.Run("curl", "-sS", "--max-time", "10", "http://127.0.0.1:15000/server_info"); !strings.Contains(out, "LIVE") {
		t.Errorf("the admin API says %s", out)
	}
	for _, conn := range held {
		conn.Close()
	}
	s.waitIdle()
	w.eventually(func() error { // connections that waited in the queue may be many at first
		before := s.metrics().sum(family)
		conn, err := w.client.Dial("tcp", podIP+":7000")
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, _, err := talk(conn); err != nil {
			return err
		}
		if now := s.metrics().sum(family); now != before {
			return fmt.Errorf("accepts still fail: %v, then %v", before, now)
		}
		return nil
	})
}

// exhaust opens connections, keeps those that are not turned away, and goes on until
// an accept has failed. A connection takes two descriptors: where a single one is
// left, each is accepted, finds none for its endpoint and makes room for the next,
// so a connection to the admin port comes or goes between them.
func exhaust(s *sidecar, address string, size int) (held []net.Conn) {
	s.w.Helper()
	join := func() {
		conn, err := s.w.client.Dial("tcp", address)
		if err == nil {
			own(s.w, conn)
			held = append(held, conn)
		} else if !errors.Is(err, syscall.ECONNRESET) {
			s.w.Fatalf("dial %s: %v", address, err)
		}
	}
	for range size {
		join()
	}
	var odd net.Conn
	s.w.eventually(func() error {
		if s.metrics().sum("sluice_listener_accept_errors_total") > 0 {
			return nil
		}
		odd = toggle(s, odd)
		join()
		return errors.New("no accept has failed")
	})
	if odd != nil {
		odd.Close()
	}
	return held
}

// TestOutOfPorts has one endpoint for which no source port is left, and
// another.
func TestOutOfPorts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000", remoteIP2+":7000")
	const ports = 10
	w.pod.Sysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("40000 %d", 40000+ports-1))
	s := startSidecar(w, gatewayText(quickDrain,
		gateway{name: "one", port: 8081, endpoints: []string{remoteIP + ":7000"}},
		gateway{name: "two", port: 8082, endpoints: []string{remoteIP + ":7000", remoteIP2 + ":7000"}},
	), asSidecar(redirect))
	var held []net.Conn
	for range ports {
		conn := dial(w, w.client, podIP+":8081")
		if _, _, err := talk(conn); err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	r := refused(s, w.client, podIP+":8081")
	if r.ending() != (ending{"proxy", "connect_failed", "UF"}) || r.Errno != "EADDRNOTAVAIL" || !strings.Contains(r.Failure, "ip_local_port_range") {
		t.Errorf("record %+v", r)
	}
	attempts := 0
	for range 4 {
		server, _, r := converse(s, w.client, podIP+":8082")
		if server != remoteIP2+":7000" {
			t.Errorf("served by %s", server)
		}
		attempts += r.ConnectAttempts
	}
	if attempts <= 4 {
		t.Error("the endpoint without ports was never tried")
	}
	s.waitMetric(float64(1+attempts-4), "sluice_cluster_no_ephemeral_port_total")
	if out := w.pod.Run("curl", "-sS", "http://127.0.0.1:15000/clusters"); !strings.Contains(out, "two::"+remoteIP+":7000::cx_connect_fail::0") {
		t.Errorf("the endpoint is blamed:\n%s", out)
	}
	for _, conn := range held {
		reset(conn.(*net.TCPConn))
	}
	s.waitMetric(0, "envoy_cluster_upstream_cx_active")
	converse(s, w.client, podIP+":8081")
}

// TestSlowReaders has servers stop reading: memory stays bounded, others are
// served.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.pod, podIP+":7000")
	v := newWay(w, "", w.client, w.pod, podIP+":7001")
	w.applyRules(redirect)
	s := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
	converse(s, w.client, podIP+":7000")
	before, heap := s.process.RSS(), flatHeap(s)
	const readers = 30
	much := make([]byte, 64<<20)
	for range readers {
		client, _ := v.open(w)
		if err := client.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := client.Write(much)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("after %d bytes: %v, want to be held back", n, err)
		}
		converse(s, w.client, podIP+":7000")
	}
	grown, each := s.process.RSS()-before, (flatHeap(s)-heap)/readers
	t.Logf("%d stalled connections: %d bytes of memory, %.0f of heap each", readers, grown, each)
	if !raceEnabled && (each > 64<<10 || grown > 32<<20) {
		t.Errorf("%d stalled connections take %d bytes of memory, and %.0f of heap each; want at most 32 MiB and 64 KiB", readers, grown, each)
	}
	s.waitMetric(readers, "envoy_cluster_upstream_cx_active") // those that talked may still be ending
}

// failingStart runs sluice, which must not start, and returns what it said.
func failingStart(w *world, text string, l launch) string {
	w.Helper()
	s := newSidecar(w, text, l)
	if code := s.waitEnd(); code != 1 {
		w.Errorf("exit status %d, want 1", code)
	}
	s.checkLog()
	return s.process.Log()
}

func wantText(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("it says %q, without %q", text, part)
		}
	}
}

// TestFailingStart has everything that must keep sluice from starting.
func TestFailingStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("address taken", func(t *testing.T) {
		w := w.at(t)
		taken := w.pod.Listen("tcp", "0.0.0.0:15006")
		log := failingStart(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
		wantText(t, log, "virtualInbound", "0.0.0.0:15006", "address already in use", "ss -ltnp")
		if out := w.pod.Run("ss", "-Hltn"); strings.Contains(out, ":15001") || strings.Contains(out, ":15090") {
			t.Errorf("something stays bound:\n%s", out)
		}
		taken.Close()
	})
	t.Run("by another sluice", func(t *testing.T) {
		w := w.at(t)
		first := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
		log := failingStart(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
		wantText(t, log, "address already in use")
		if ready, err := first.ready(); !ready || err != nil {
			t.Errorf("the first one: ready %t, %v", ready, err)
		}
	})
	t.Run("admin port taken", func(t *testing.T) {
		w := w.at(t)
		taken := w.pod.Listen("tcp", "127.0.0.1:15000")
		log := failingStart(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
		wantText(t, log, "127.0.0.1:15000", "address already in use")
		taken.Close()
	})
	t.Run("no permission for TPROXY", func(t *testing.T) {
		log := failingStart(w.at(t), sidecarText(settings{mode: tproxy}), launch{uid: sidecarID})
		wantText(t, log, "virtualInbound", "CAP_NET_RAW")
	})
	t.Run("no permission for a low port", func(t *testing.T) {
		w := w.at(t)
		w.pod.Sysctl("net.ipv4.ip_unprivileged_port_start", "1024")
		log := failingStart(w, gatewayText("", gateway{name: "low", port: 81}), launch{uid: sidecarID})
		wantText(t, log, "CAP_NET_BIND_SERVICE")
	})
	t.Run("not our address", func(t *testing.T) {
		log := failingStart(w.at(t), strings.Replace(gatewayText("", gateway{name: "g", port: 8081}), "0.0.0.0", "10.99.99.99", 1), asSidecar(redirect))
		wantText(t, log, "10.99.99.99:8081", "no address of this host")
	})
	t.Run("broken configuration", func(t *testing.T) {
		w := w.at(t)
		s := newSidecar(w, "limits: {max_connections: many}\nlisteners: [{nme: x}]\n", asSidecar(redirect))
		if code := s.waitEnd(); code != 1 {
			t.Errorf("exit status %d", code)
		}
		wantText(t, s.process.Log(), s.file+":1: limits.max_connections:", s.file+":2: listeners[0]")
		if out := w.pod.Run("ss", "-Hltn"); out != "" {
			t.Errorf("something is bound:\n%s", out)
		}
	})
	t.Run("access log in no directory", func(t *testing.T) {
		log := failingStart(w.at(t), strings.Replace(sidecarText(settings{mode: redirect}), "$LOG", "/nonexistent/access.log", 1), asSidecar(redirect))
		wantText(t, log, "/nonexistent/access.log")
	})
}

// TestNoIPv6 starts on a host without IPv6, and says so.
func TestNoIPv6(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.pod, podIP+":7000")
	for _, conf := range []string{"all", "default", "lo"} {
		w.pod.Sysctl("net.ipv6.conf."+conf+".disable_ipv6", "1")
	}
	w.applyRules(redirect)
	// The kernel still lets [::] be bound, but no address.
	text := withListener(sidecarText(settings{mode: redirect}),
		"- {name: local6, address: \"[::1]:8081\", default_filter_chain: {tcp_proxy: {cluster: Passthrough}}}\n")
	s := startSidecar(w, text, asSidecar(redirect))
	s.process.WaitLog("this host has no IPv6; the listener is left out\",\"listener\":\"local6\"")
	converse(s, w.client, podIP+":7000")
}
