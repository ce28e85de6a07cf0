package test

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
)

// crowd opens many connections at once, all held, and tells how many were
// served and how many reset; any other fate fails the test.
type crowd struct {
	mu       sync.Mutex
	served   []net.Conn
	reset    int
	failures []error
}

func gather(w *world, address string, size int) *crowd {
	w.Helper()
	c := new(crowd)
	var all sync.WaitGroup
	for range size {
		all.Go(func() {
			conn, err := w.client.Dial("tcp", address)
			if err == nil {
				own(w, conn)
				_, _, err = talk(conn)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			switch {
			case err == nil:
				c.served = append(c.served, conn)
			case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
				c.reset++
			default:
				c.failures = append(c.failures, err)
			}
		})
	}
	all.Wait()
	for _, err := range c.failures {
		w.Errorf("neither served nor reset: %v", err)
	}
	return c
}

func (c *crowd) leave() {
	for _, conn := range c.served {
		conn.Close()
	}
}

// TestLimits fills each limit up from many connections at once: exactly as
// many as it says are served, the others are reset and counted, and what ends
// makes room.
func TestLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000")
	endpoints := []string{remoteIP + ":7000"}
	const limit, size = 10, 60
	for _, tc := range []struct {
		name   string
		top    string
		g      gateway
		want   ending
		metric string
	}{
		{"circuit breaker", "", gateway{cluster: fmt.Sprintf("circuit_breakers: {max_connections: %d}", limit)},
			ending{"proxy", "overflow", "UO"}, "envoy_cluster_upstream_cx_overflow"},
		{"listener", "", gateway{listener: fmt.Sprintf("max_connections: %d", limit)},
			ending{"proxy", "overflow", "-"}, "envoy_listener_downstream_cx_overflow"},
		{"process", fmt.Sprintf("limits: {max_connections: %d}\n", limit), gateway{},
			ending{"proxy", "overflow", "-"}, "envoy_listener_downstream_global_cx_overflow"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.at(t)
			tc.g.name, tc.g.port, tc.g.endpoints = "limited", 8081, endpoints
			s := startSidecar(w, gatewayText(quickDrain+tc.top, tc.g), asSidecar(redirect))
			for round := 1; round <= 2; round++ {
				c := gather(w, podIP+":8081", size)
				if len(c.served) != limit || c.reset != size-limit {
					t.Errorf("round %d: %d served, %d reset; want %d and %d", round, len(c.served), c.reset, limit, size-limit)
				}
				s.waitMetric(float64(round*(size-limit)), tc.metric)
				s.waitRecords(round*(size-limit), func(r record) bool { return r.ending() == tc.want })
				if tc.name == "circuit breaker" {
					m := s.metrics()
					if open, left := m.sum("envoy_cluster_circuit_breakers_default_cx_open"), m.sum("envoy_cluster_circuit_breakers_default_remaining_cx"); open != 1 || left != 0 {
						t.Errorf("full circuit breaker: cx_open %v, remaining_cx %v", open, left)
					}
				}
				c.leave()
				s.waitRecords(round*size, func(record) bool { return true })
				s.waitIdle()
			}
		})
	}
}
