package test

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// TestFlapping replaces all 5,000 endpoints of a cluster ten times a second, by
// DNS: every connection is served, live ones go on although their endpoints are
// gone, and memory stays bounded. BenchmarkFlapping has what it costs.
func TestFlapping(t *testing.T) {
	t.Parallel()
	w, server := newDNSWorld(t)
	w.remote.Run("ip", "route", "add", "local", "10.128.0.0/14", "dev", "lo")
	stop, flipped := make(chan struct{}), make(chan struct{})
	flip := func(turn int) {
		for half, name := range halves() { // one answer with all of them would be longer than DNS allows
			server.set(naming{a: addresses(fmt.Sprintf("10.%d.%%d.%%d", 128+2*(turn%2)+half), manyEndpoints/2), ttl: 60}, name)
		}
	}
	flip(0)
	go func() {
		defer close(flipped)
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for turn := 1; ; turn++ {
			select {
			case <-ticker.C:
				flip(turn)
			case <-stop:
				return
			}
		}
	}()
	defer func() {
		close(stop)
		<-flipped
	}()
	flapping := named("flapping", "a.flapping.test.", 8081, "")
	flapping.endpoints = append(flapping.endpoints, "b.flapping.test.:7000")
	s := startSidecar(w, gatewayText(quickDrain, flapping), launch{uid: sidecarID, checks: 4})
	var live []net.Conn
	for range 20 {
		conn := dial(w, w.client, podIP+":8081")
		if _, _, err := talk(conn); err != nil {
			t.Fatal(err)
		}
		live = append(live, conn)
	}
	load := startLoad(w.client, 4, podIP+":8081")
	changes := func() float64 { return s.metrics().sum("envoy_cluster_membership_change") }
	for goal := changes() + float64(testSizes(t).flaps); changes() < goal; {
		load.more(w, 20)
		if members := s.metrics().sum("envoy_cluster_membership_total"); members != manyEndpoints {
			t.Errorf("%v endpoints, want %d", members, manyEndpoints)
		}
		for _, conn := range live {
			write(t, conn, []byte("still there"))
			readFull(t, conn, len("still there"))
		}
	}
	load.end(t)
	const most = 200 << 20
	rss := s.process.RSS()
	t.Logf("%v changes of 5,000 endpoints, %d connections served, %d bytes of memory", changes(), load.served.Load(), rss)
	if rss > most && !raceEnabled {
		t.Errorf("%d bytes of memory, want at most %d", rss, most)
	}
	for _, conn := range live {
		conn.Close()
	}
}
