package test

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestLimitsGoOnAfterReload changes a chain whose places are taken: who holds one
// counts towards the new limit, a smaller one lets nobody in until enough have
// ended, and a bucket that was emptied stays empty.
func TestLimitsGoOnAfterReload(t *testing.T) {
	t.Parallel()
	w := newPolicyWorld(t)
	serveGreeting(w, w.pod, "0.0.0.0:7001", "0.0.0.0:7002")
	text := func(places, tokens, hours int) string {
		return strings.NewReplacer("max_connections: 10}", fmt.Sprintf("max_connections: %d}", places), "max_tokens: 10", fmt.Sprintf("max_tokens: %d", tokens),
			"tcp_proxy: {cluster: inbound}", fmt.Sprintf("tcp_proxy: {cluster: inbound, idle_timeout: %dh}", hours)).Replace(limitedText(""))
	}
	s := startSidecar(w, text(10, 10, 1), asSidecar(redirect))
	var held []net.Conn
	come := func(port, size, want int) {
		t.Helper()
		c := gather(w, fmt.Sprintf("%s:%d", podIP, port), size)
		if len(c.served) != want || c.reset != size-want {
			t.Errorf("port %d: %d served, %d reset of %d; want %d served", port, len(c.served), c.reset, size, want)
		}
		if port == 7002 {
			c.leave()
			return
		}
		held = append(held, c.served...)
	}
	active := func(want int) {
		t.Helper()
		s.waitMetric(float64(want), "envoy_connection_limit_active_connections", prefixed("connection_limit", "places"))
	}
	come(7001, 20, 10)
	come(7002, 20, 10)

	s.reload(text(12, 10, 2))
	active(10)
	come(7001, 20, 2)
	come(7002, 5, 0)

	s.reload(text(5, 3, 3))
	active(12)
	come(7001, 5, 0)
	come(7002, 5, 3) // another bucket
	for _, conn := range held {
		write(t, conn, []byte("still there"))
		readFull(t, conn, len("still there"))
	}
	for _, conn := range held[:8] {
		conn.Close()
	}
	active(4)
	come(7001, 5, 1)
	for _, conn := range held {
		conn.Close()
	}
	active(0)
}
