package stats

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func testStart() time.Time { return time.Now().Add(-time.Minute) }

// go test -bench Shard -benchmem ./internal/stats
func BenchmarkShard(b *testing.B) {
	f := newFixture()
	shard := f.shards[0]
	b.Run("Inc", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			shard.Inc(f.listener.CxTotal)
		}
	})
	b.Run("Observe", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			shard.Observe(f.cluster.LengthMs, 40*time.Millisecond)
		}
	})
	b.Run("IstioClose", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.istio.Close(shard, "UF,URX")
		}
	})
}

// go test -bench Scrape -benchmem ./internal/stats
func BenchmarkScrape10000Series(b *testing.B) {
	f := newFixture()
	for i := 0; len(f.registry.series) < 10_000; i++ {
		f.registry.Cluster(fmt.Sprintf("outbound|9080||service-%d.default.svc.cluster.local", i))
	}
	for _, shard := range f.shards {
		shard.Grow(f.registry.Cells())
	}
	exporter := f.exporter(b)
	for path, handler := range map[string]http.Handler{"prometheus": exporter.Prometheus(), "stats": exporter.Stats()} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				response := httptest.NewRecorder()
				handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/stats", nil))
				if response.Code != http.StatusOK {
					b.Fatal(response.Body)
				}
			}
		})
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	f := newFixture()
	allocations := testing.AllocsPerRun(100, func() {
		f.shards[0].Inc(f.listener.CxTotal)
		f.shards[0].Move(f.listener.CxActive, 1)
		f.shards[0].Observe(f.cluster.ConnectMs, time.Millisecond)
		f.istio.Close(f.shards[0], "SI,DT")
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want 0", allocations)
	}
}
