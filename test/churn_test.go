package test

import (
	"fmt"
	"net"
	"strings"

	"sync"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// TestChurn opens thousands of connections and closes them, again and again, half
// of the times with resets: sluice holds no more afterwards than before, and its
// memory has grown by 5 % at most.
func TestChurn(t *testing.T) {
	w := newWorld(t)
	w.applyRules(redirect)
	serveGreeting(w, w.pod, podIP+":7000")
	w.client.Sysctl("net.ipv4.ip_local_port_range", "20000 60000")
	l := asSidecar(redirect)
	l.env = []string{"GOGC=5"} // as in TestIdle
	text := strings.Replace(sidecarText(settings{mode: redirect}), head, "concurrency: 2\naccess_log: []\n", 1)
	s := startSidecar(w, text, l)
	size := testSizes(t)
	const warm = 2
	var first int64
	for round := range size.rounds {
		conns := openMany(w, podIP+":7000", size.connections)
		s.waitMetric(float64(size.connections), "envoy_server_total_connections")
		for _, conn := range conns {
			var err error
			if round%2 == 0 {
				err = conn.Close()
			} else {
				err = reset(conn)
			}
			if err != nil {
				t.Error(err)
			}
		}
		testnet.Eventually(w, 3*patience, func() error {
			if n := s.metrics().sum("envoy_server_total_connections"); n != 0 {
				return fmt.Errorf("%v connections are left", n)
			}
			return nil
		})
		if round == warm-1 {
			first = s.process.RSS()
		}
	}
	s.waitIdle()
	last := s.process.RSS()
	t.Logf("%d times %d connections: %d bytes of memory after the first, %d after the last", size.rounds, size.connections, first, last)
	if last > first+first/20 && full() {
		t.Errorf("memory has grown from %d to %d bytes, want at most 5 %% more", first, last)
	}
	m := s.metrics()
	if total, ended := m.sum("envoy_listener_downstream_cx_total"), m.sum("envoy_listener_downstream_cx_destroy"); total != ended {
		t.Errorf("%v connections were opened, %v closed", total, ended)
	}
}

// openMany opens connections, eight at a time, and has all of them relayed.
func openMany(w *world, address string, count int) []*net.TCPConn {
	w.Helper()
	var mu sync.Mutex
	var all []*net.TCPConn
	var opening sync.WaitGroup
	const at = 8
	for number := range at {
		opening.Go(func() {
			for range count/at + min(1, max(0, count%at-number)) {
				conn, err := w.client.Dial("tcp", address)
				if err == nil {
					_, _, err = talk(conn)
				}
				if err != nil {
					w.Errorf("open connections: %v", err)
					return
				}
				mu.Lock()
				all = append(all, conn.(*net.TCPConn))
				mu.Unlock()
			}
		})
	}
	opening.Wait()
	return all
}

// TestSheddingOrder has everything run short at once: connections that wait for
// their clients' first bytes are refused first, then whatever is new. Live
// connections lose no byte, and when there is room again everybody is served.
func TestSheddingOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	const pending, silentClients, crowdSize = 20, 60, 200
	serveGreeting(w, w.pod, podIP+":7000")
	v := newWay(w, "", w.client, w.pod, podIP+":7001")
	l := asSidecar(redirect)
	l.before = []string{"prlimit", "--nofile=192:192"}
	s := startSidecar(w, inboundText(fmt.Sprintf("limits: {max_pending_inspections: %d}\n", pending), "listener_filters_timeout: 0s"), l)
	live := []*pair{openPair(w, v), openPair(w, v)}
	live[0].run(1, live[0].stream)
	live[1].run(2, live[1].chat)
	goOn := func(when string) {
		t.Helper()
		before := movedBy(live)
		w.eventually(func() error {
			for i, now := range movedBy(live) {
				if now == before[i] {
					return fmt.Errorf("%s: live connection %d moves no bytes", when, i)
				}
			}
			return nil
		})
	}
	var silent []net.Conn
	for range silentClients {
		if conn, err := w.client.Dial("tcp", fmt.Sprintf("%s:%d", podIP, tlsPort)); err == nil {
			own(w, conn)
			silent = append(silent, conn)
		}
	}
	s.waitMetric(silentClients-pending, "envoy_listener_downstream_cx_overflow")
	s.waiting(pending)
	goOn("inspections are refused")
	converse(s, w.client, podIP+":7000") // new ones that need no inspection are served

	held := exhaust(s, podIP+":7000", crowdSize)
	goOn("new connections are turned away")
	s.waiting(pending)
	for _, conn := range append(held, silent...) {
		conn.Close()
	}
	w.eventually(func() error {
		conn, err := w.client.Dial("tcp", podIP+":7000")
		if err == nil {
			_, _, err = talk(conn)
			conn.Close()
		}
		return err
	})
	goOn("there is room again")
	for _, p := range live {
		p.finish(w)
		if r := s.ended(p.client); r.ending() != byClient || r.BytesReceived != p.moved.Load() {
			t.Errorf("record %+v, want %d bytes", r, p.moved.Load())
		}
	}
}
