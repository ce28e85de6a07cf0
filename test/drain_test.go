package test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// drainWorld is a pod with an application and a remote one, captured.
func drainWorld(t *testing.T, drain string) (*world, *sidecar) {
	t.Helper()
	w := newWorld(t)
	serveGreeting(w, w.pod, podIP+":7000")
	serveGreeting(w, w.remote, remoteIP+":7000")
	w.applyRules(redirect)
	return w, startSidecar(w, sidecarText(settings{mode: redirect, drain: drain}), asSidecar(redirect))
}

// waitUnready waits for readiness to turn to 503.
func (s *sidecar) waitUnready() {
	s.w.Helper()
	s.w.eventually(func() error {
		ready, err := s.ready()
		if ready && err == nil {
			err = errors.New("still ready")
		}
		return err
	})
}

// waitInboundClosed waits until nobody listens on the inbound port any more.
func (s *sidecar) waitInboundClosed() {
	s.w.Helper()
	s.w.eventually(func() error {
		if out := s.host.Run("ss", "-Hltn", "sport", "=", ":15006"); out != "" {
			return fmt.Errorf("inbound still listens: %s", out)
		}
		return nil
	})
}

// TestGradualDrain follows a drain from SIGTERM to the end.
func TestGradualDrain(t *testing.T) {
	t.Parallel()
	w, s := drainWorld(t, "{time: 5m, min_time: 8s, strategy: gradual}")
	in, out := dial(w, w.client, podIP+":7000"), dial(w, w.pod, remoteIP+":7000")
	for _, conn := range []interface {
		Read([]byte) (int, error)
	}{in, out} {
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	s.signal(syscall.SIGTERM)
	s.waitUnready()
	converse(s, w.client, podIP+":7000") // during min_time
	s.waitInboundClosed()
	if m := s.metrics(); m.sum("envoy_server_state") != 1 || m.sum("envoy_server_live") != 0 {
		t.Error("the metrics do not tell of the drain")
	}
	if conn, err := w.client.Dial("tcp", podIP+":7000"); err == nil {
		conn.Close()
		t.Error("a new inbound connection is accepted after min_time")
	}
	converse(s, w.pod, remoteIP+":7000")
	write(t, in, []byte("still there"))
	write(t, out, []byte("still there"))
	in.CloseWrite()
	if got := wantEnd(t, in); !strings.HasSuffix(string(got), "still there") {
		t.Errorf("inbound connection of before: %q", got)
	}
	if s.process.Exited() {
		t.Error("it has ended with a connection open")
	}
	out.CloseWrite()
	if got := wantEnd(t, out); !strings.HasSuffix(string(got), "still there") {
		t.Errorf("outbound connection of before: %q", got)
	}
	if code := s.waitEnd(); code != 0 {
		t.Errorf("status %d", code)
	}
	if lines := s.filter(func(r record) bool { return r.ending() == byClient }); len(lines) != 4 {
		t.Errorf("%d of 4 connections ended well", len(lines))
	}
}

// TestQueuedConnections has connections wait in the kernel's queue when the
// drain begins: all are served.
func TestQueuedConnections(t *testing.T) {
	t.Parallel()
	w, s := drainWorld(t, "{time: 5m, min_time: 0s, strategy: immediate}")
	s.signal(syscall.SIGSTOP)
	const clients = 1000
	var all sync.WaitGroup
	var served atomic.Int32
	for range clients {
		conn := dial(w, w.client, podIP+":7000") // the kernel answers
		all.Go(func() {
			if _, _, err := talk(conn); err != nil {
				t.Errorf("a queued connection: %v", err)
				return
			}
			conn.Close()
			served.Add(1)
		})
	}
	s.signal(syscall.SIGTERM)
	s.signal(syscall.SIGCONT)
	all.Wait()
	if code := s.waitEnd(); code != 0 || served.Load() != clients {
		t.Errorf("status %d, %d of %d served", code, served.Load(), clients)
	}
}

// TestDrainUnderLoad has clients come and go while a drain begins, and the application
// connect until it ends. Those that are let in are served.
func TestDrainUnderLoad(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name    string
		address string
		clients int // between connections of one, sluice is empty at times
	}{{"inbound", podIP + ":7000", 4}, {"outbound", remoteIP + ":7000", 1}} {
		t.Run(way.name, func(t *testing.T) {
			w, s := drainWorld(t, "{time: 5m, min_time: 100ms, strategy: gradual}")
			from := w.client
			if way.name == "outbound" {
				from = w.pod
			}
			var clients sync.WaitGroup
			var served atomic.Int32
			for range way.clients {
				clients.Go(func() {
					for {
						conn, err := from.Dial("tcp", way.address)
						if errors.Is(err, syscall.ECONNREFUSED) {
							return
						}
						if err != nil {
							t.Errorf("dial: %v", err)
							return
						}
						if _, _, err := talk(conn); err != nil {
							t.Errorf("after %d connections: %v", served.Load(), err)
						}
						conn.Close()
						served.Add(1)
					}
				})
			}
			w.eventually(func() error {
				if served.Load() < 50 {
					return errors.New("the load has not begun")
				}
				return nil
			})
			s.signal(syscall.SIGTERM)
			clients.Wait()
			if code := s.waitEnd(); code != 0 {
				t.Errorf("status %d", code)
			}
		})
	}
}

// TestDrainStages has SIGTERM come at every stage of a connection, and the
// deadline or a second signal end what is left.
func TestDrainStages(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		name, drain string
		again       bool // a second signal
	}{
		{"deadline", "{time: 300ms, min_time: 0s, strategy: immediate}", false},
		{"second signal", "{time: 1h, min_time: 10m, strategy: gradual}", true},
	} {
		t.Run(end.name, func(t *testing.T) {
			w, s := drainWorld(t, end.drain)
			dropPort(w.remote, silentPort)
			v := newWay(w, "", w.client, w.pod, podIP+":7001")
			idle, _ := v.open(w)
			half, server := v.open(w)
			half.CloseWrite()
			wantEnd(t, server)
			stalled, _ := v.open(w) // whose server does not read
			stalled.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = send(stalled, 1, 1<<30)
			connecting := dial(w, w.pod, fmt.Sprintf("%s:%d", remoteIP, silentPort))
			s.waitMetric(4, "envoy_cluster_upstream_cx_active")
			s.signal(syscall.SIGTERM)
			s.waitEndOrUnready()
			if end.again {
				s.signal(syscall.SIGTERM)
			}
			if code := s.waitEnd(); code != 0 {
				t.Errorf("status %d", code)
			}
			for _, conn := range []interface{ Read([]byte) (int, error) }{idle, half, stalled, connecting} {
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("a connection at the end of the drain: %v, want a reset", err)
				}
			}
			for _, r := range s.waitRecords(4, func(record) bool { return true }) {
				if r.ClosedBy != "proxy" || r.Reason != "drain" {
					t.Errorf("record %+v", r)
				}
			}
		})
	}
}

func (s *sidecar) waitEndOrUnready() {
	s.w.Helper()
	s.w.eventually(func() error {
		if ready, err := s.ready(); ready && err == nil && !s.process.Exited() {
			return errors.New("still ready")
		}
		return nil
	})
}

// TestImmediateDrain stops accepting at once, and SIGINT is as good.
func TestImmediateDrain(t *testing.T) {
	t.Parallel()
	w, s := drainWorld(t, "{time: 5m, min_time: 5m, strategy: immediate}")
	conn := dial(w, w.pod, remoteIP+":7000")
	if _, _, err := talk(conn); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGINT)
	s.waitUnready()
	s.waitInboundClosed()
	conn.Close()
	if code := s.waitEnd(); code != 0 {
		t.Errorf("status %d", code)
	}
}

// TestOtherSignals do not end it, and SIGUSR1 opens the access log again.
func TestOtherSignals(t *testing.T) {
	t.Parallel()
	w, s := drainWorld(t, "")
	conn := dial(w, w.client, podIP+":7000")
	converse(s, w.client, podIP+":7000")
	if err := os.Rename(s.accessLog, s.accessLog+".1"); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGUSR1} {
		s.signal(sig)
	}
	s.process.WaitLog("reopened")
	converse(s, w.client, podIP+":7000")
	if len(s.records()) != 1 {
		t.Errorf("%d lines in the new access log, want 1", len(s.records()))
	}
	if _, _, err := talk(conn); err != nil {
		t.Errorf("the connection of before: %v", err)
	}
	if ready, err := s.ready(); !ready || err != nil {
		t.Errorf("ready: %t, %v", ready, err)
	}
}

// TestQuit ends it by the admin API.
func TestQuit(t *testing.T) {
	t.Parallel()
	w, s := drainWorld(t, "{time: 1h, min_time: 10m}")
	conn := dial(w, w.client, podIP+":7000")
	if _, _, err := talk(conn); err != nil {
		t.Fatal(err)
	}
	w.pod.As(sidecarID, sidecarID).Run("curl", "-sS", "--fail", "-X", "POST", "http://127.0.0.1:15000/quitquitquit")
	if code := s.waitEnd(); code != 0 {
		t.Errorf("status %d", code)
	}
	wantReset(t, conn)
}

// TestKill9 kills it under load, again and again: the rules stay, and the next
// one serves, within a second.
func TestKill9(t *testing.T) {
	t.Parallel()
	w, s := drainWorld(t, "")
	rules := func() string {
		var b strings.Builder
		for line := range strings.Lines(w.pod.Run("iptables-save", "-t", "nat") + w.pod.Run("ip6tables-save", "-t", "nat")) {
			if strings.HasPrefix(line, "-A") { // without counts and times
				b.WriteString(line)
			}
		}
		return b.String()
	}
	before := rules()
	load := startLoad(w.client, 4, podIP+":7000")
	var starts []time.Duration
	for range testSizes(t).kills {
		load.more(w, 20)
		load.excused.Store(true)
		s.process.Kill()
		began := time.Now()
		s.start(asSidecar(redirect))
		s.waitReady()
		starts = append(starts, time.Since(began))
		if after := rules(); after != before {
			t.Errorf("the rules were\n%s\nand are\n%s", before, after)
		}
	}
	load.more(w, 20)
	load.end(t)
	converse(s, w.client, podIP+":7000")
	slices.Sort(starts)
	median := starts[len(starts)/2]
	t.Logf("%d kills, ready after %v in the median, %v at most", len(starts), median, starts[len(starts)-1])
	if full() && median > time.Second {
		t.Errorf("ready after %v, want at most a second", median)
	}
}
