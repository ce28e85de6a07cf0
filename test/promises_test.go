package test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestPortsForEachDestination has as many connections to each of two ports of the
// application as there are source ports: one address, 127.0.0.6, has all of them
// for each destination (IP_BIND_ADDRESS_NO_PORT).
func TestPortsForEachDestination(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.pod, podIP+":7000", podIP+":7001")
	w.applyRules(redirect)
	const ports = 100
	w.pod.Sysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("40000 %d", 40000+ports-1))
	s := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
	for _, port := range []int{7000, 7001} {
		for i := range ports {
			conn := dial(w, w.client, fmt.Sprintf("%s:%d", podIP, port))
			if _, seen, err := talk(conn); err != nil || host(seen) != "127.0.0.6" {
				t.Fatalf("connection %d to port %d: from %s, %v", i, port, seen, err)
			}
		}
	}
	if r := refused(s, w.client, podIP+":7000"); r.Errno != "EADDRNOTAVAIL" {
		t.Errorf("one more than there are ports: record %+v", r)
	}
}

// TestWarningsAtStart: what will fail later is said when sluice starts, and how it
// is mended.
func TestWarningsAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pod.Sysctl("net.ipv4.tcp_tw_reuse", "0")
	s := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
	for _, want := range []string{"::6/128 dev lo", "net.ipv4.tcp_tw_reuse is 0"} {
		if lines := grep(s.process.Log(), `"level":"warn"`, want); len(lines) != 1 {
			t.Errorf("%d warnings with %q:\n%s", len(lines), want, s.process.Log())
		}
	}
}

// TestLoopsShareConnections ends all connections of one loop, while the kernel goes
// on to give each loop as many new ones: they are handed over until no loop has
// clearly more than the other.
func TestLoopsShareConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.pod, podIP+":7000")
	w.applyRules(redirect)
	s := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
	carries := func() [2]float64 {
		m := s.metrics()
		return [2]float64{m.sum("sluice_loop_connections", `loop="0"`), m.sum("sluice_loop_connections", `loop="1"`)}
	}
	const first, second = 120, 100
	var ofFirstLoop []net.Conn
	for range first {
		before, conn := carries(), dial(w, w.client, podIP+":7000")
		if _, _, err := talk(conn); err != nil {
			t.Fatal(err)
		}
		if carries()[0] > before[0] {
			ofFirstLoop = append(ofFirstLoop, conn)
		}
	}
	for _, conn := range ofFirstLoop {
		conn.Close()
	}
	s.waitMetric(0, "sluice_loop_connections", `loop="0"`)
	for range second {
		if _, _, err := talk(dial(w, w.client, podIP+":7000")); err != nil {
			t.Fatal(err)
		}
	}
	loads := carries()
	most, least := max(loads[0], loads[1]), min(loads[0], loads[1])
	if most+least != float64(first-len(ofFirstLoop)+second) || most > least+max(16, most/4)+1 {
		t.Errorf("after %d of %d had ended and %d came, the loops carry %v", len(ofFirstLoop), first, second, loads)
	}
	if s.metrics().sum("sluice_loop_handed_over_total") == 0 {
		t.Error("none was handed over")
	}
}

// TestBytesOfLiveConnections are counted while they live, whether copied or spliced.
func TestBytesOfLiveConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	v := newWay(w, "", w.client, w.pod, podIP+":7000")
	s := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
	client, server := v.open(w)
	const large, small = 8 << 20, 100
	sent := make(chan error, 1)
	go func() {
		_, err := send(client, 1, large)
		sent <- err
	}()
	if _, err := receive(server, large); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	write(t, server, make([]byte, small))
	readFull(t, client, small)
	for family, want := range map[string]float64{
		"envoy_tcp_downstream_cx_rx_bytes_total": large, "envoy_tcp_downstream_cx_tx_bytes_total": small,
		"envoy_cluster_upstream_cx_tx_bytes_total": large, "envoy_cluster_upstream_cx_rx_bytes_total": small,
		"istio_tcp_received_bytes_total": large, "istio_tcp_sent_bytes_total": small, "sluice_relay_bytes_total": large + small,
	} {
		s.waitMetric(want, family)
	}
	if m := s.metrics(); m.sum("sluice_relay_bytes_total", `engine="splice"`) == 0 || m.sum("envoy_cluster_upstream_cx_active") != 1 {
		t.Error("nothing was spliced, or the connection has ended")
	}
	if out := s.admin("/connections?format=json"); !strings.Contains(out, fmt.Sprint(large)) {
		t.Errorf("/connections does not tell of %d bytes:\n%s", large, out)
	}
}

// TestAdminIsLocal: the admin port is on the loopback address only, answers to
// local names only, and changes nothing by GET: not even a page in a browser of the
// pod can end sluice.
func TestAdminIsLocal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
	if conn, err := w.client.Dial("tcp", podIP+":15000"); err == nil {
		conn.Close()
		t.Error("the admin port can be reached from another host")
	}
	for _, tc := range []struct {
		method, path, header string
		want                 int
	}{
		{"GET", "/stats", "", 200},
		{"GET", "/stats", "Host: evil.example", 403},
		{"POST", "/quitquitquit", "Host: evil.example", 403},
		{"POST", "/quitquitquit", "Origin: http://evil.example", 403},
		{"GET", "/quitquitquit", "", 405},
		{"GET", "/logging?level=debug", "", 405},
	} {
		if got := askAdmin(w, tc.method, tc.path, tc.header); got != tc.want {
			t.Errorf("%s %s (%s): status %d, want %d", tc.method, tc.path, tc.header, got, tc.want)
		}
	}
	if ready, err := s.ready(); !ready || err != nil {
		t.Errorf("ready: %t, %v", ready, err)
	}
}

// askAdmin makes one request to the pod's admin port, with a header that may be another
// Host.
func askAdmin(w *world, method, path, header string) (status int) {
	w.Helper()
	conn := dial(w, w.pod, "127.0.0.1:15000")
	defer conn.Close()
	if !strings.HasPrefix(header, "Host:") {
		header = strings.TrimPrefix("Host: 127.0.0.1:15000\r\n"+header, "\r\n")
	}
	write(w, conn, []byte(method+" "+path+" HTTP/1.1\r\n"+strings.TrimSuffix(header, "\r\n")+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// TestServerNamesCannotForgeLines has a client send line breaks, quotes and 255
// bytes for a server name: each connection has one line, in JSON and in text.
func TestServerNamesCannotForgeLines(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			w := newWorld(t)
			w.applyRules(redirect)
			serveGreeting(w, w.pod, fmt.Sprintf("%s:%d", podIP, tlsPort))
			text := strings.Replace(inboundText("", "listener_filters_timeout: 0s"), "format: json", "format: "+format, 1)
			s := startSidecar(w, text, asSidecar(redirect))
			names := []string{"a\n[2026] \"forged\"", "a\r\x1b[2J\\\"", strings.Repeat("a\n", 127) + "b"}
			for _, name := range names {
				conn := dial(w, w.client, fmt.Sprintf("%s:%d", podIP, tlsPort))
				write(t, conn, hello(name))
				readFull(t, conn, 1)
				if err := reset(conn); err != nil {
					t.Fatal(err)
				}
			}
			s.waitMetric(0, "envoy_server_total_connections")
			var log string
			w.eventually(func() error {
				all, err := os.ReadFile(s.accessLog)
				if log = string(all); strings.Count(log, "\n") != len(names) || !strings.HasSuffix(log, "\n") {
					return fmt.Errorf("%d connections have left %q, %v", len(names), log, err)
				}
				return nil
			})
			if strings.ContainsAny(log, "\x1b\r") || !strings.Contains(log, "forged") {
				t.Errorf("the access log is %q", log)
			}
		})
	}
}
