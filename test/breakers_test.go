package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

var overflowed = ending{"proxy", "overflow", "UO"}

// fourLoops is text with more event loops than there are cores.
func fourLoops(text string) string {
	return strings.Replace(text, "concurrency: 2", "concurrency: 4", 1)
}

// TestMaxConnectionsUnderChurn has many clients come and go: the endpoint never
// sees more connections than it may, and each one that is refused is counted.
func TestMaxConnectionsUnderChurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const limit, clients, rounds = 5, 16, 40
	endpoint := newServer(w, w.remote, remoteIP+":7000")
	s := startSidecar(w, fourLoops(gatewayText(quickDrain, gateway{name: "limited", port: 8081, endpoints: []string{endpoint.address},
		cluster: fmt.Sprintf("circuit_breakers: {max_connections: %d, track_remaining: true}", limit)})), asSidecar(redirect))
	var served, refused atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range rounds {
				switch err := partake(w.client, podIP+":8081"); {
				case err == nil:
					served.Add(1)
				case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
					refused.Add(1)
				default:
					t.Errorf("neither served nor reset: %v", err)
				}
			}
		})
	}
	all.Wait()
	if served.Load() == 0 || refused.Load() == 0 {
		t.Fatalf("%d served, %d refused: nothing is shown", served.Load(), refused.Load())
	}
	if endpoint.peak() > limit || endpoint.total.Load() != served.Load() {
		t.Errorf("the endpoint had %d connections at a time, at most %d are allowed; %d in all, %d were served",
			endpoint.peak(), limit, endpoint.total.Load(), served.Load())
	}
	s.waitMetric(float64(refused.Load()), "envoy_cluster_upstream_cx_overflow", ofCluster("limited"))
	s.waitMetric(float64(served.Load()), "envoy_cluster_upstream_cx_total", ofCluster("limited"))
	s.waitMetric(limit, "envoy_cluster_circuit_breakers_default_remaining_cx")
	s.waitMetric(0, "envoy_cluster_circuit_breakers_default_cx_open")
	s.waitRecords(int(refused.Load()), func(r record) bool { return r.ending() == overflowed && r.Details == "max_connections" })
}

// partake is a client that lets the server end the connection first, so that the
// server's count goes down before a place is free.
func partake(from *testnet.Host, address string) error {
	conn, err := from.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(hung)); err != nil {
		return err
	}
	if _, _, err := talk(conn); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}

// TestMaxConnectionsPerEndpoint fills endpoints up from many connections at
// once.
func TestMaxConnectionsPerEndpoint(t *testing.T) {
	t.Parallel()
	const limit, size = 2, 40
	for _, policy := range []string{"round_robin", "least_request", "random"} {
		t.Run(policy, func(t *testing.T) {
			w := newWorld(t)
			servers, addresses := newServers(w, 3)
			s := startSidecar(w, fourLoops(gatewayText(quickDrain, gateway{name: "limited", port: 8081, endpoints: addresses,
				cluster: fmt.Sprintf("lb_policy: %s\n  circuit_breakers: {max_connections_per_endpoint: %d}", policy, limit)})), asSidecar(redirect))
			for round := 1; round <= 2; round++ {
				c := gather(w, podIP+":8081", size)
				if len(c.served) != limit*len(servers) || c.reset != size-len(c.served) {
					t.Errorf("round %d: %d served, %d reset", round, len(c.served), c.reset)
				}
				for _, e := range servers {
					if e.open.Load() != limit || e.peak() != limit {
						t.Errorf("%s has %d connections, had %d", e.address, e.open.Load(), e.peak())
					}
				}
				c.leave()
				s.waitRecords(round*size, func(record) bool { return true })
				s.waitIdle()
				w.eventually(func() error {
					for _, e := range servers {
						if n := e.open.Load(); n > 0 {
							return fmt.Errorf("%s still has %d connections", e.address, n)
						}
					}
					return nil
				})
			}
			s.waitMetric(2*(size-limit*3), "envoy_cluster_upstream_cx_overflow")
			s.waitRecords(2*(size-limit*3), func(r record) bool {
				return r.ending() == overflowed && r.Details == "max_connections_per_endpoint"
			})
		})
	}
}

// TestMaxPending has an endpoint that says nothing: those who wait for it are
// limited, the others learn it at once, and who leaves makes room.
func TestMaxPending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dropPort(w.remote, silentPort)
	const limit, size = 3, 20
	s := startSidecar(w, fourLoops(gatewayText(quickDrain, gateway{name: "silent", port: 8081,
		endpoints: []string{fmt.Sprintf("%s:%d", remoteIP, silentPort)},
		cluster:   fmt.Sprintf("connect_timeout: 1h\n  circuit_breakers: {max_pending: %d, track_remaining: true}", limit)})), asSidecar(redirect))
	for round := 1; round <= 2; round++ {
		var conns []*net.TCPConn
		for range size {
			conn, err := w.client.Dial("tcp", podIP+":8081")
			if errors.Is(err, syscall.ECONNRESET) {
				continue // refused before connect had returned
			}
			if err != nil {
				t.Fatal(err)
			}
			own(w, conn)
			conns = append(conns, conn.(*net.TCPConn))
		}
		s.waitMetric(float64(round*(size-limit)), "envoy_cluster_upstream_rq_pending_overflow", ofCluster("silent"))
		s.waitRecords(round*(size-limit), func(r record) bool { return r.ending() == overflowed && r.Details == "max_pending" })
		s.waitMetric(limit, "envoy_cluster_upstream_cx_active", ofCluster("silent"))
		s.waitMetric(1, "envoy_cluster_circuit_breakers_default_rq_pending_open")
		s.waitMetric(0, "envoy_cluster_circuit_breakers_default_remaining_pending")
		for _, conn := range conns {
			reset(conn)
		}
		s.waitMetric(0, "envoy_cluster_upstream_cx_active", ofCluster("silent"))
		s.waitMetric(limit, "envoy_cluster_circuit_breakers_default_remaining_pending")
		s.waitMetric(0, "envoy_cluster_circuit_breakers_default_rq_pending_open")
	}
	s.waitRecords(2*limit, func(r record) bool { return r.ending() == ending{"downstream", "rst", "DC"} })
}

// TestPlacesComeBack has connections end in every way, each taking all the
// places that there are: if one was lost, the next is refused.
func TestPlacesComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dropPort(w.remote, silentPort)
	endpoint := newServer(w, w.remote, remoteIP+":7000")
	const one = "circuit_breakers: {max_connections: 1, max_pending: 1, max_connections_per_endpoint: 1, track_remaining: true}"
	silent := []string{fmt.Sprintf("%s:%d", remoteIP, silentPort)}
	s := startSidecar(w, gatewayText(quickDrain,
		gateway{name: "works", port: 8081, endpoints: []string{endpoint.address}, cluster: one},
		gateway{name: "refuses", port: 8082, endpoints: []string{fmt.Sprintf("%s:%d", remoteIP, closedPort)}, cluster: one},
		gateway{name: "times-out", port: 8083, endpoints: silent, cluster: one + "\n  connect_timeout: 50ms"},
		gateway{name: "silent", port: 8084, endpoints: silent, cluster: one + "\n  connect_timeout: 1h"},
		gateway{name: "next", port: 8085, endpoints: []string{fmt.Sprintf("%s:%d", remoteIP, closedPort), endpoint.address}, cluster: one},
		gateway{name: "idle", port: 8086, endpoints: []string{endpoint.address}, cluster: one, tcp: "idle_timeout: 50ms"},
	), asSidecar(redirect))
	for range 5 {
		for _, end := range placeEnds() {
			end.do(s, podIP)
			s.waitMetric(1, "envoy_cluster_circuit_breakers_default_remaining_cx", ofCluster(end.cluster))
			s.waitMetric(1, "envoy_cluster_circuit_breakers_default_remaining_pending", ofCluster(end.cluster))
		}
	}
	s.waitMetric(0, "envoy_cluster_upstream_cx_overflow")
	s.waitMetric(0, "envoy_cluster_upstream_rq_pending_overflow")
	for line := range strings.Lines(s.admin("/clusters")) {
		if strings.Contains(line, "::cx_active::") && !strings.HasSuffix(line, "::0\n") {
			t.Errorf("a connection is left: %s", line)
		}
	}
}

// placeEnd is a way in which a connection gives its places back.
type placeEnd struct {
	cluster string
	do      func(s *sidecar, ip string)
}

func placeEnds() []placeEnd {
	served := func(port int, leave func(*sidecar, *net.TCPConn)) func(*sidecar, string) {
		return func(s *sidecar, ip string) {
			conn := dial(s.w, s.w.client, fmt.Sprintf("%s:%d", ip, port))
			if _, _, err := talk(conn); err != nil {
				s.w.Fatal(err)
			}
			leave(s, conn)
			s.ended(conn)
		}
	}
	fails := func(port int, reason string) func(*sidecar, string) {
		return func(s *sidecar, ip string) {
			if r := refused(s, s.w.client, fmt.Sprintf("%s:%d", ip, port)); r.Reason != reason {
				s.w.Errorf("record %+v", r)
			}
		}
	}
	return []placeEnd{
		{"works", served(8081, func(_ *sidecar, conn *net.TCPConn) { conn.Close() })},
		{"works", served(8081, func(_ *sidecar, conn *net.TCPConn) { reset(conn) })},
		{"refuses", fails(8082, "connect_failed")},
		{"times-out", fails(8083, "connect_timeout")},
		{"silent", func(s *sidecar, ip string) {
			conn := dial(s.w, s.w.client, ip+":8084")
			s.waitMetric(1, "envoy_cluster_upstream_cx_active", ofCluster("silent"))
			reset(conn)
			s.ended(conn)
		}},
		{"next", served(8085, func(_ *sidecar, conn *net.TCPConn) { conn.Close() })},
		{"idle", func(s *sidecar, ip string) { // a word with the server may take longer
			if r := s.ended(dial(s.w, s.w.client, ip+":8086")); r.Reason != "idle_timeout" {
				s.w.Errorf("record %+v", r)
			}
		}},
	}
}
