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

// manySeries is a fixture whose registry has n series, nearly all of clusters.
func manySeries(n int) *fixture {
	f := newFixture()
	for i := 0; len(f.registry.series) < n; i++ {
		f.registry.Cluster(fmt.Sprintf("outbound|9080||service-%d.default.svc.cluster.local", i))
	}
	for _, shard := range f.shards {
		shard.Grow(f.registry.Cells())
		for i := range shard.cells {
			shard.cells[i] = uint64(i)
		}
	}
	return f
}

type scrapeCase struct {
	name     string
	handler  http.Handler
	query    string
	encoding string
}

// A scrape as HTTP sees it; Prometheus asks for gzip.
//
//	go test ./internal/stats -run '^$' -bench Scrape
func BenchmarkScrape(b *testing.B) {
	const series = 10_000
	exporter := manySeries(series).exporter(b)
	for _, c := range []scrapeCase{
		{"prometheus", exporter.Prometheus(), "", ""},
		{"prometheus+gzip", exporter.Prometheus(), "", "gzip"},
		{"prometheus+filter", exporter.Prometheus(), "?filter=service-1[.]", ""},
		{"text", exporter.Stats(), "", ""},
		{"json", exporter.Stats(), "?format=json", ""},
	} {
		b.Run(fmt.Sprintf("%s/series=%d", c.name, series), func(b *testing.B) {
			request := httptest.NewRequest(http.MethodGet, "/stats"+c.query, nil)
			request.Header.Set("Accept-Encoding", c.encoding)
			b.ReportAllocs()
			var size int
			for b.Loop() {
				response := sink{header: http.Header{}}
				c.handler.ServeHTTP(&response, request)
				if size = response.size; response.status != http.StatusOK {
					b.Fatalf("status %d", response.status)
				}
			}
			b.SetBytes(int64(size))
			b.ReportMetric(float64(size), "B/scrape")
		})
	}
}

// sink is a response that counts its bytes and keeps none: a recorder's buffer
// would cost more than a connection's.
type sink struct {
	header http.Header
	status int
	size   int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) { s.status = status }

func (s *sink) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	s.size += len(p)
	return len(p), nil
}

// How long a scrape holds up each loop.
func BenchmarkAddTo(b *testing.B) {
	const series = 10_000
	b.Run(fmt.Sprintf("series=%d", series), func(b *testing.B) {
		f := manySeries(series)
		sum := make([]uint64, f.registry.Cells())
		b.SetBytes(int64(8 * len(sum)))
		b.ReportAllocs()
		for b.Loop() {
			f.shards[0].AddTo(sum)
		}
	})
}

// How long a reload that brings new places holds up each loop.
func BenchmarkTake(b *testing.B) {
	const cells = 400_000 // 5,000 clusters
	full := &Shard{}
	full.Grow(cells)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		next := &Shard{cells: full.cells}
		room := next.Room(cells + 1)
		b.StartTimer()
		next.Take(room)
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
