package outlier

import (
	"strconv"
	"testing"
	"time"
)

type reportBench struct {
	name    string
	results []Result
}

// On the event loops: one Report for each connection, two where early closes
// are looked for.
//
//	go test ./outlier -run '^$' -bench Report
func BenchmarkReport(b *testing.B) {
	s := forTCP()
	s.ConsecutiveEarlyClose = 5
	for _, bc := range []reportBench{
		{"success", []Result{LocalConnectSuccess}},
		{"success and first byte", []Result{LocalConnectSuccess, FirstByte}},
		{"failure", []Result{LocalConnectFailed}},
		{"success after failure", []Result{LocalConnectFailed, LocalConnectSuccess}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			m := New(s, Options{}).Add(1)
			b.ReportAllocs()
			for b.Loop() {
				for _, r := range bc.results {
					m.Report(r)
				}
			}
		})
	}
	b.Run("one endpoint on all loops", func(b *testing.B) {
		m := New(s, Options{}).Add(1)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				m.Report(LocalConnectSuccess)
			}
		})
	})
}

// Beside the loops, once in an interval. The time includes one store for each
// endpoint, by which it has had connections.
func BenchmarkSweep(b *testing.B) {
	for _, n := range []int{10, 5000} {
		b.Run("endpoints="+strconv.Itoa(n), func(b *testing.B) {
			d := New(forTCP(), Options{})
			monitors := make([]*Monitor, n)
			for id := range monitors {
				monitors[id] = d.Add(int32(id))
			}
			now := virtual(0)
			b.ReportAllocs()
			for b.Loop() {
				for _, m := range monitors {
					m.local.successes.Store(1000) // enough to be compared
				}
				now = now.Add(10 * time.Second)
				d.Sweep(now)
			}
		})
	}
}
