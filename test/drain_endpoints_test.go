package test

import (
	"errors"
	"net/http"
	"syscall"
	"testing"
)

// TestHealthcheckEndpoints turn readiness off and on; nothing else changes.
func TestHealthcheckEndpoints(t *testing.T) {
	t.Parallel()
	w, s := drainWorld(t, "")
	conn := dial(w, w.client, podIP+":7000")
	if _, _, err := talk(conn); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status, body := s.callAdmin("POST", "/healthcheck/fail"); status != http.StatusOK || body != "OK\n" {
			t.Errorf("status %d: %s", status, body)
		}
		if ready, err := s.ready(); ready || err != nil {
			t.Errorf("after /healthcheck/fail: ready %t, %v", ready, err)
		}
		converse(s, w.client, podIP+":7000")
		converse(s, w.pod, remoteIP+":7000")
		if m := s.metrics(); m.sum("sluice_drain_active") != 0 || m.sum("envoy_server_live") != 1 {
			t.Error("the metrics tell of a drain")
		}
		s.callAdmin("POST", "/healthcheck/ok")
		if ready, err := s.ready(); !ready || err != nil {
			t.Errorf("after /healthcheck/ok: ready %t, %v", ready, err)
		}
	}
	write(t, conn, []byte("x"))
	readFull(t, conn, 1)
	for _, path := range []string{"/healthcheck/fail", "/healthcheck/ok", "/drain_listeners", "/reload", "/quitquitquit"} {
		if status, _ := s.callAdmin("GET", path); status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: status %d", path, status)
		}
	}
	conn.Close()
}

// TestDrainListeners stops accepting by the admin API, first from outside and
// then altogether. What is live goes on, the process too, and no reload is taken.
func TestDrainListeners(t *testing.T) {
	t.Parallel()
	w, s := drainWorld(t, "")
	in, out := dial(w, w.client, podIP+":7000"), dial(w, w.pod, remoteIP+":7000")
	for _, conn := range []interface{ Read([]byte) (int, error) }{in, out} {
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	s.callAdmin("POST", "/drain_listeners?inboundonly")
	s.waitInboundClosed()
	converse(s, w.pod, remoteIP+":7000")
	if status, body := s.callAdmin("POST", "/reload"); status != http.StatusBadRequest {
		t.Errorf("reload after /drain_listeners: status %d: %s", status, body)
	}
	s.callAdmin("POST", "/drain_listeners")
	w.eventually(func() error {
		conn, err := w.pod.Dial("tcp", remoteIP+":7000")
		if err == nil {
			conn.Close()
			return errors.New("outbound connections are still accepted")
		}
		return nil
	})
	write(t, in, []byte("still there"))
	write(t, out, []byte("still there"))
	in.CloseWrite()
	out.CloseWrite()
	wantEnd(t, in)
	wantEnd(t, out)
	if s.process.Exited() {
		t.Error("it has ended")
	}
}

// TestDrainGauges tell what a drain still waits for.
func TestDrainGauges(t *testing.T) {
	t.Parallel()
	w, s := drainWorld(t, "{time: 5m, min_time: 0s, strategy: immediate}")
	in, out := dial(w, w.client, podIP+":7000"), dial(w, w.pod, remoteIP+":7000")
	for _, conn := range []interface{ Read([]byte) (int, error) }{in, out} {
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	const family = "sluice_drain_connections"
	if m := s.metrics(); m.sum("sluice_drain_active") != 0 || m.sum(family) != 0 {
		t.Error("the gauges tell of a drain before there is one")
	}
	s.signal(syscall.SIGTERM)
	s.waitMetric(1, "sluice_drain_active")
	s.waitMetric(1, family, `direction="inbound"`)
	s.waitMetric(1, family, `direction="outbound"`)
	in.Close()
	s.waitMetric(0, family, `direction="inbound"`)
	s.waitMetric(1, family, `direction="outbound"`)
	out.Close()
	if code := s.waitEnd(); code != 0 {
		t.Errorf("status %d", code)
	}
}
