package test

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// checkPort is where endpoints are checked that must stay as they are.
const checkPort = 7990

// quickCheck is health checks that notice at once, on a port of their own or,
// with 0, on the endpoint's.
func quickCheck(port int) string {
	return fmt.Sprintf("health_checks: [{type: tcp, port: %d, interval: 50ms, no_traffic_interval: 50ms, timeout: 5s, "+
		"unhealthy_threshold: 1, healthy_threshold: 1}]", port)
}

// heldConn is a live connection, and who serves it.
type heldConn struct {
	*net.TCPConn
	server string
}

// hold opens a connection to each of two endpoints.
func hold(s *sidecar, address string, a, b *server) (toA, toB *heldConn) {
	s.w.Helper()
	s.w.eventually(func() error {
		conn := &heldConn{TCPConn: dial(s.w, s.w.client, address)}
		var err error
		if conn.server, _, err = talk(conn); err != nil {
			return err
		}
		switch {
		case conn.server == a.address && toA == nil:
			toA = conn
		case conn.server == b.address && toB == nil:
			toB = conn
		default:
			conn.Close()
		}
		if toA == nil || toB == nil {
			return fmt.Errorf("connections to %v and %v", toA, toB)
		}
		return nil
	})
	return toA, toB
}

// stillTalks fails the test unless the connection is as good as before.
func (c *heldConn) stillTalks(s *sidecar) {
	s.w.Helper()
	write(s.w, c, []byte("still there?\n"))
	if got := readFull(s.w, c, 13); string(got) != "still there?\n" {
		s.w.Errorf("%s says %q", c.server, got)
	}
}

// TestEndpointUnhealthy has one of two endpoints fail its health checks while
// both have live connections: they are kept, drained or closed, and those of the
// other endpoint live on.
func TestEndpointUnhealthy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, bad := newServer(w, w.remote, remoteIP+":7000"), newServer(w, w.remote, remoteIP2+":7000")
	newServer(w, w.remote, fmt.Sprintf("%s:%d", remoteIP, checkPort))
	checked := newServer(w, w.remote, fmt.Sprintf("%s:%d", remoteIP2, checkPort))
	const drainTime = time.Second
	var gateways []gateway
	policies := []string{"keep", "drain", "close"}
	for i, what := range policies {
		gateways = append(gateways, gateway{name: what, port: 8081 + i, endpoints: []string{good.address, bad.address},
			cluster: fmt.Sprintf("on_endpoint_unhealthy: %s\n  %s", what, quickCheck(checkPort))})
	}
	s := startSidecar(w, gatewayText(fmt.Sprintf("drain: {time: %v, min_time: 0s, strategy: immediate}\n", drainTime), gateways...), asSidecar(redirect))
	toGood, toBad := map[string]*heldConn{}, map[string]*heldConn{}
	for i, what := range policies {
		s.waitMetric(2, "envoy_cluster_membership_healthy", ofCluster(what))
		toGood[what], toBad[what] = hold(s, fmt.Sprintf("%s:%d", podIP, 8081+i), good, bad)
	}
	before := time.Now()
	checked.refuse()
	byHealth := ending{"proxy", "endpoint_unhealthy", "-"}
	for _, what := range []string{"close", "drain"} {
		wantReset(t, toBad[what])
		if r := s.ended(toBad[what]); r.ending() != byHealth || r.UpstreamHost != bad.address {
			t.Errorf("%s: record %+v", what, r)
		}
	}
	if lasted := time.Since(before); lasted < drainTime {
		t.Errorf("a connection to be drained was closed after %v, not %v", lasted, drainTime)
	}
	toBad["keep"].stillTalks(s)
	for i, what := range policies {
		s.waitFlags("/failed_active_hc", what, bad.address)
		toGood[what].stillTalks(s)
		if served := tally(w, w.client, fmt.Sprintf("%s:%d", podIP, 8081+i), 10); served[good.address] != 10 {
			t.Errorf("%s: served by %v", what, served)
		}
	}
	checked.listen()
	for _, what := range policies {
		s.waitFlags("healthy", what, bad.address)
		toGood[what].stillTalks(s)
		toGood[what].Close()
	}
	toBad["keep"].stillTalks(s)
	toBad["keep"].Close()
	s.waitRecords(2, func(r record) bool { return r.ending() == byHealth })
}

// TestEjectedEndpointIsLeft has an endpoint that refuses new connections ejected,
// which closes those that it still had.
func TestEjectedEndpointIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, bad := newServer(w, w.remote, remoteIP+":7000"), newServer(w, w.remote, remoteIP2+":7000")
	s := startSidecar(w, gatewayText(quickDrain, gateway{name: "ejects", port: 8081, endpoints: []string{good.address, bad.address},
		cluster: "on_endpoint_unhealthy: close\n  outlier_detection: {base_ejection_time: 1h, max_ejection_time: 1h, max_ejection_percent: 50, consecutive_local_origin_failure: 2}"}), asSidecar(redirect))
	toGood, toBad := hold(s, podIP+":8081", good, bad)
	bad.refuse()
	w.eventually(func() error {
		tally(w, w.client, podIP+":8081", 2)
		if s.healthFlags("ejects", bad.address) != "/failed_outlier_check" {
			return fmt.Errorf("%s is not ejected", bad.address)
		}
		return nil
	})
	wantReset(t, toBad)
	if r := s.ended(toBad); r.ending() != (ending{"proxy", "endpoint_unhealthy", "-"}) {
		t.Errorf("record %+v", r)
	}
	toGood.stillTalks(s)
	toGood.Close()
}

// TestDiallingLeavesTheUnhealthy has a connection wait for an endpoint that says
// nothing, until its health checks fail: it goes on to the next one.
func TestDiallingLeavesTheUnhealthy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dropPort(w.remote, silentPort)
	good := newServer(w, w.remote, remoteIP+":7000")
	newServer(w, w.remote, fmt.Sprintf("%s:%d", remoteIP, checkPort))
	checked := newServer(w, w.remote, fmt.Sprintf("%s:%d", remoteIP2, checkPort))
	silent := fmt.Sprintf("%s:%d", remoteIP2, silentPort)
	s := startSidecar(w, poolText(quickDrain, []gateway{{name: "pool", port: 8081,
		cluster: "connect_timeout: 1h\n  on_endpoint_unhealthy: close\n  outlier_detection: {max_ejection_percent: 100, consecutive_local_origin_failure: 1}\n  " + quickCheck(checkPort)}},
		[]spot{{silent, ""}, {good.address, "priority: 1"}}), asSidecar(redirect))
	s.waitHealthy(2, "pool")
	conn := dial(w, w.client, podIP+":8081")
	s.waitMetric(1, "envoy_cluster_upstream_cx_active", ofCluster("pool"))
	checked.refuse()
	server, _, err := talk(conn)
	if err != nil || server != good.address {
		t.Errorf("served by %q, %v", server, err)
	}
	conn.Close()
	if r := s.ended(conn); r.ConnectAttempts != 2 || r.ending() != byClient || r.UpstreamHost != good.address {
		t.Errorf("record %+v", r)
	}
	s.waitFlags("/failed_active_hc", "pool", silent) // and not ejected: it was not given the time
}
