package test

import (
	"net"
	"syscall"
	"testing"
)

// idleConnections are so many that both ends, in this process, and sluice's
// pairs each fit below 20,000 descriptors.
const idleConnections = 9000

// TestIdle relays thousands of connections that say nothing: each has exactly
// two descriptors and at most 1 KiB of heap. All of them still work afterwards.
func TestIdle(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 2*idleConnections+500 {
		t.Fatalf("this test needs %d descriptors (ulimit -n, hard), there are %d: %v", 2*idleConnections+500, limit.Cur, err)
	}
	w := newWorld(t)
	w.applyRules(redirect)
	v := newWay(w, "", w.client, w.pod, podIP+":7000")
	s := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
	pairs := make([][2]*net.TCPConn, 0, idleConnections)
	open := func(n int) {
		for range n {
			client, server := v.open(w)
			pairs = append(pairs, [2]*net.TCPConn{client, server})
		}
	}
	open(10) // everything that is made once
	s.waitMetric(10, "envoy_cluster_upstream_cx_active")
	heapBefore, before := flatHeap(s), s.descriptors()
	open(idleConnections - 10)
	s.waitMetric(idleConnections, "envoy_cluster_upstream_cx_active")
	heapAfter := flatHeap(s)
	relayed := 0
	for _, socket := range s.sockets() {
		if port := socket.local.Port(); port != 15090 && port != 15000 { // those are a scrape, or a profile, on its way out
			relayed++
		}
	}
	have := s.descriptors()
	if relayed != 2*idleConnections || have.pipes > before.pipes || have.others > before.others {
		t.Errorf("%d sockets of connections, %d pipes, %d others; want %d, %d and %d", relayed, have.pipes, have.others,
			2*idleConnections, before.pipes, before.others)
	}
	each := (heapAfter - heapBefore) / float64(idleConnections-10)
	t.Logf("heap of each idle connection: %.0f bytes", each)
	if each > 1024 {
		t.Errorf("each idle connection takes %.0f bytes of heap, want at most 1024", each)
	}
	for i, p := range pairs {
		write(t, p[0], []byte{byte(i)})
		write(t, p[1], []byte{byte(i >> 8)})
	}
	for i, p := range pairs {
		if up, down := readFull(t, p[1], 1)[0], readFull(t, p[0], 1)[0]; up != byte(i) || down != byte(i>>8) {
			t.Fatalf("connection %d got the bytes of another", i)
		}
		p[0].Close()
		p[1].Close()
	}
	s.waitRecords(idleConnections, func(r record) bool { return r.BytesReceived == 1 && r.BytesSent == 1 && r.Reason == "fin" })
}
