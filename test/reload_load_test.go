package test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// turningText is a configuration that differs from the next one in everything
// that a reload can change.
func turningText(number int) string {
	endpoints := [][]string{{remoteIP + ":7000", remoteIP2 + ":7000"}, {remoteIP2 + ":7000"}}[number%2]
	checks := "health_checks: [{type: tcp, interval: 1s, timeout: 1s, unhealthy_threshold: 3, healthy_threshold: 1}]"
	gateways := []gateway{
		{name: "turning", port: 8081, endpoints: endpoints, tcp: fmt.Sprintf("idle_timeout: %dh", 1+number%2), cluster: checks},
		{name: "same", port: 8082, endpoints: []string{remoteIP + ":7000"}},
		{name: "coming", port: 8083, endpoints: endpoints},
	}
	// What a reload removes is held for drain.time.
	text := gatewayText("drain: {time: 100ms, min_time: 0s, strategy: immediate}\n", gateways[:2+number%2]...)
	// A heap of a mesh's size, of which a few threads' stacks and pools are little.
	for i := range 200 {
		text += fmt.Sprintf("- {name: spare-%d, endpoints: [{address: \"%s:%d\"}]}\n", i, remoteIP, 10000+i)
	}
	// Its buffers grow with load, and would hide what grows with reloads.
	text = strings.Replace(text, head, "concurrency: 2\naccess_log: []\n", 1)
	if number%2 == 1 {
		text = strings.Replace(text, "{name: turning, tcp_proxy", "{name: other-chain, rbac: {action: deny, policies: [{name: nobody, source_ips: [192.0.2.1/32]}]}, tcp_proxy", 1)
	}
	return text
}

// TestReloadsUnderLoad reloads again and again while clients come and go: no
// connection fails, readiness never turns, and heap and descriptors afterwards are
// what they were.
func TestReloadsUnderLoad(t *testing.T) {
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000", remoteIP2+":7000")
	s := startSidecar(w, turningText(0), asSidecar(redirect))
	load := startLoad(w.client, 2, podIP+":8081", podIP+":8082")
	reload := func(number int) {
		s.put(turningText(number))
		if status, body := s.callAdmin("POST", "/reload"); status != http.StatusOK {
			t.Fatalf("reload %d: status %d: %s", number, status, body)
		}
	}
	count := testSizes(t).reloads
	// Threads and pools come with the first ones, and stay.
	warm := 50 + count/5
	const few = 5 // goroutines of requests that are just ending
	for number := range warm {
		load.more(w, 2)
		reload(number + 1)
	}
	before := s.settled(load)
	stop, probes := make(chan struct{}), sync.WaitGroup{}
	probes.Go(func() { s.probe(stop) })
	for number := range count {
		load.more(w, 1)
		reload(number + 1)
	}
	close(stop)
	probes.Wait()
	after := s.settled(load)
	load.end(t)
	t.Logf("%d reloads: %d connections served, %d failed; heap %.0f and %.0f bytes, goroutines %v and %v, sockets %d and %d", count,
		load.served.Load(), load.failed.Load(), before.heap, after.heap, before.goroutines, after.goroutines, before.open.sockets, after.open.sockets)
	most := 1.1 // after few reloads, a pool more or less shows
	if full() {
		most = 1.05
	}
	if after.heap > before.heap*most && !raceEnabled {
		t.Errorf("the heap has grown from %.0f to %.0f bytes, want at most %v times as much", before.heap, after.heap, most)
	}
	if after.open.sockets > before.open.sockets || after.open.others > before.open.others || after.goroutines > before.goroutines+few {
		t.Errorf("%v goroutines and descriptors\n%s\nhave become %v and\n%s", before.goroutines, strings.Join(before.open.list, "\n"),
			after.goroutines, strings.Join(after.open.list, "\n"))
	}
	if good, bad := s.reloads("success"), s.reloads("failure"); good != float64(warm+count) || bad != 0 {
		t.Errorf("%v reloads succeeded, %v failed", good, bad)
	}
}

// probe asks for readiness until stop; each answer must be yes.
func (s *sidecar) probe(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if ready, err := s.ready(); !ready || err != nil {
			s.w.Errorf("during reloads: ready %t, %v", ready, err)
		}
	}
}

// holdings are what sluice holds.
type holdings struct {
	open             descriptors
	heap, goroutines float64
}

// settled is what sluice holds without connections of its clients, after a reload
// that took the listener at port 8083 away.
func (s *sidecar) settled(l *load) (h holdings) {
	s.w.Helper()
	l.without(func() {
		s.waitMetric(0, "envoy_server_total_connections")
		s.w.eventually(func() error {
			if n := len(s.sockets()); n > 0 {
				return fmt.Errorf("%d connections are left", n)
			}
			if out := s.host.Run("ss", "-Hltn", "sport", "=", ":8083"); out != "" {
				return fmt.Errorf("the listener that was removed is still there: %s", out)
			}
			return nil
		})
		for range 10 { // a health check, or netlink, has one more for a moment
			if d := s.descriptors(); h.open.list == nil || len(d.list) < len(h.open.list) {
				h.open = d
			}
		}
		h.heap = flatHeap(s)
		h.goroutines = leastGoroutines(s)
	})
	return h
}

// flatHeap is the heap right after garbage has been collected, as runtime.MemStats
// has it. Pools take two rounds to let go of what they hold.
func flatHeap(s *sidecar) float64 {
	s.w.Helper()
	least := 0.0
	for range 8 {
		_, profile := s.callAdmin("GET", "/debug/pprof/heap?gc=1&debug=1")
		_, after, _ := strings.Cut(profile, "\n# HeapAlloc = ")
		number, _, _ := strings.Cut(after, "\n")
		heap, err := strconv.ParseFloat(number, 64)
		if err != nil {
			s.w.Fatalf("the profile of the heap has no HeapAlloc: %v", err)
		}
		if least == 0 || heap < least {
			least = heap
		}
	}
	return least
}

// leastGoroutines is the smallest of some readings: a scrape has some itself.
func leastGoroutines(s *sidecar) float64 {
	least := 0.0
	for range 5 {
		if n := s.metrics().sum("go_goroutines"); least == 0 || n < least {
			least = n
		}
	}
	return least
}
