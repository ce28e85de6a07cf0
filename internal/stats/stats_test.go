package stats

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// fixture is a registry with one of everything, and two loops' shards.
type fixture struct {
	registry *Registry
	shards   []*Shard
	listener Listener
	tcp      TCP
	cluster  Cluster
	istio    Istio
	loops    []Loop
	relay    Relay
}

const (
	testCluster  = "outbound|9080||ratings.default.svc.cluster.local"
	testListener = "0.0.0.0:15001"
	testChain    = "virtualInbound/inbound|9080||"
)

func newFixture() *fixture {
	r := NewRegistry()
	f := &fixture{
		registry: r,
		listener: r.Listener(testListener),
		tcp:      r.TCP(testCluster),
		cluster:  r.Cluster(testCluster),
		istio:    r.Istio(IstioLabels{Reporter: ReporterSource, Cluster: testCluster, Local: Workload{Name: "reviews-v1"}}),
		loops:    []Loop{r.Loop(0), r.Loop(1)},
		relay:    r.Relay(),
	}
	r.RBAC(testChain)
	r.ConnectionLimit(testChain)
	r.RateLimited(testChain)
	f.shards = []*Shard{r.NewShard(), r.NewShard()}
	return f
}

// sampleAll samples every value there is, with a fixed number.
func (f *fixture) sampleAll() {
	for what := range sampledSpecs {
		spec := sampledSpecs[what]
		values := []string{testCluster, "go1.26"}[:len(spec.labels)]
		f.registry.Sample(Sampled(what), func() float64 { return float64(what + 1) }, values...)
	}
}

func (f *fixture) gather(sum []uint64) {
	for _, shard := range f.shards {
		shard.AddTo(sum)
	}
}

func (f *fixture) exporter(t testing.TB) *Exporter {
	t.Helper()
	exporter, err := NewExporter(NewCollector(f.registry, f.gather))
	if err != nil {
		t.Fatal(err)
	}
	return exporter
}

// value is what /stats would show under the name.
func (f *fixture) value(t *testing.T, name string) string {
	t.Helper()
	for _, r := range NewCollector(f.registry, f.gather).read() {
		if r.name() != name {
			continue
		}
		if r.family.kind == histogramKind {
			return string(newDistribution(r.cells).appendText(nil, disjointBuckets))
		}
		return string(appendNumber(nil, &r))
	}
	t.Fatalf("no series %q", name)
	return ""
}

func TestLoopsAreSummed(t *testing.T) {
	f := newFixture()
	f.shards[0].Inc(f.listener.CxTotal)
	f.shards[1].Add(f.listener.CxTotal, 4)
	// Handed over: taken by the first loop, closed by the second.
	f.shards[0].Move(f.listener.CxActive, 3)
	f.shards[1].Move(f.listener.CxActive, -1)
	f.shards[1].Add(f.loops[1].BusyNanos, 1_500_000_000)
	for name, want := range map[string]string{
		"listener.0.0.0.0_15001.downstream_cx_total":  "5",
		"listener.0.0.0.0_15001.downstream_cx_active": "2",
		`sluice_loop_busy_seconds_total{loop="1"}`:    "1.5",
		`sluice_loop_busy_seconds_total{loop="0"}`:    "0",
	} {
		if got := f.value(t, name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
}

func TestSameLabelsSamePlaces(t *testing.T) {
	f := newFixture()
	before := f.registry.Cells()
	if f.registry.Listener(testListener) != f.listener || f.registry.Cluster(testCluster) != f.cluster ||
		f.registry.TCP(testCluster) != f.tcp || f.registry.Loop(1) != f.loops[1] || f.registry.Relay() != f.relay {
		t.Error("asking again gave other places: a reload would reset counters")
	}
	if f.registry.Istio(IstioLabels{Reporter: ReporterSource, Cluster: testCluster, Local: Workload{Name: "reviews-v1"}}) != f.istio {
		t.Error("asking again gave other Istio places")
	}
	if got := f.registry.Cells(); got != before {
		t.Errorf("cells grew from %d to %d", before, got)
	}
	if f.registry.Listener("[::]:15001") == f.listener {
		t.Error("two addresses share places")
	}
}

func TestPlacesAreDistinct(t *testing.T) {
	f := newFixture()
	taken := map[int]string{}
	for _, s := range f.registry.series {
		for cell := s.cell; s.read == nil && cell < s.cell+width(s.family.kind); cell++ {
			if other, exists := taken[cell]; exists {
				t.Fatalf("%s and %s share cell %d", s.name(), other, cell)
			}
			taken[cell] = s.name()
		}
	}
	if len(taken) != f.registry.Cells() {
		t.Errorf("%d cells used of %d", len(taken), f.registry.Cells())
	}
}

func TestGrowKeepsValuesAndNewPlacesOfOneLoop(t *testing.T) {
	f := newFixture()
	f.shards[0].Inc(f.listener.CxTotal)
	later := f.registry.Cluster("later")
	f.shards[0].Grow(f.registry.Cells())
	f.shards[0].Inc(later.CxTotal)
	// The second loop has not taken up the new configuration yet.
	if got := f.value(t, "cluster.later.upstream_cx_total"); got != "1" {
		t.Errorf("new place = %s, want 1", got)
	}
	if got := f.value(t, "listener.0.0.0.0_15001.downstream_cx_total"); got != "1" {
		t.Errorf("old place = %s, want 1", got)
	}
}

func TestAddToASumMadeBeforeTheShardGrew(t *testing.T) {
	f := newFixture()
	sum := make([]uint64, f.registry.Cells())
	f.registry.Cluster("later")
	f.shards[0].Grow(f.registry.Cells())
	f.shards[0].AddTo(sum) // must not panic
}

// Two loops that write to one cache line slow each other down tenfold.
func TestShardsShareNoCacheLine(t *testing.T) {
	for cells := 1; cells < 40; cells++ {
		lines := map[uintptr]int{}
		for id := range 64 {
			shard := &Shard{}
			shard.Grow(cells)
			first := uintptr(unsafe.Pointer(&shard.cells[0])) / 64
			last := uintptr(unsafe.Pointer(&shard.cells[cells-1])) / 64
			for line := first; line <= last; line++ {
				if other, taken := lines[line]; taken {
					t.Fatalf("shards %d and %d with %d cells share a line", other, id, cells)
				}
				lines[line] = id
			}
		}
	}
}

func TestObserve(t *testing.T) {
	type observeCase struct {
		value  time.Duration
		bucket int
	}
	for _, c := range []observeCase{
		{-time.Second, 0},
		{0, 0},
		{500 * time.Microsecond, 0},
		{501 * time.Microsecond, 1},
		{time.Millisecond, 1},
		{time.Hour, len(boundsMicros) - 1},
		{time.Hour + time.Microsecond, len(boundsMicros)},
	} {
		f := newFixture()
		f.shards[0].Observe(f.cluster.ConnectMs, c.value)
		for i := range histogramSum {
			if got := f.shards[0].cells[int(f.cluster.ConnectMs)+i]; (got == 1) != (i == c.bucket) {
				t.Errorf("%v: bucket %d holds %d", c.value, i, got)
			}
		}
	}
}

func TestPercentile(t *testing.T) {
	type percentileCase struct {
		name    string
		buckets map[int]uint64
		percent float64
		want    float64
	}
	for _, c := range []percentileCase{
		{"lowest bound of the first bucket", map[int]uint64{2: 4}, 0, 1},
		{"inside a bucket", map[int]uint64{2: 4}, 50, 3},
		{"highest bound of the last bucket", map[int]uint64{2: 4}, 100, 5},
		{"empty buckets between", map[int]uint64{0: 1, 5: 1}, 100, 50},
		{"half of two buckets", map[int]uint64{0: 1, 5: 1}, 50, 0.5},
		{"past all bounds", map[int]uint64{len(boundsMicros): 1}, 50, 3600000},
	} {
		cells := make([]uint64, histogramCells)
		for i, n := range c.buckets {
			cells[i] = n
		}
		if got := newDistribution(cells).percentile(c.percent); got != c.want {
			t.Errorf("%s: P%v = %v, want %v", c.name, c.percent, got, c.want)
		}
	}
}

// Loops count while configurations are built and scrapes run; the race
// detector watches.
func TestScrapeWhileCountingAndBuilding(t *testing.T) {
	registry := NewRegistry()
	handles := registry.Listener(testListener)
	shard := registry.NewShard()
	ask, stop := make(chan []uint64), make(chan struct{})
	answered := make(chan struct{})
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			select {
			case sum := <-ask:
				shard.AddTo(sum)
				answered <- struct{}{}
			case <-stop:
				return
			default:
				shard.Inc(handles.CxTotal)
			}
		}
	})
	collector := NewCollector(registry, func(sum []uint64) { ask <- sum; <-answered })
	var builder sync.WaitGroup
	builder.Go(func() {
		for i := range 50 {
			registry.Cluster(strconv.Itoa(i))
			registry.Sample(ClusterMembershipTotal, func() float64 { return 1 }, strconv.Itoa(i%3))
		}
	})
	for range 50 {
		collector.read()
	}
	builder.Wait()
	close(stop)
	loop.Wait()
}

// TestPolicyNames: the names that Envoy's exporter makes of its statistics, by
// taking the prefix out.
func TestPolicyNames(t *testing.T) {
	f := newFixture()
	f.shards[0].Inc(f.registry.RBAC(testChain).ShadowDenied)
	f.shards[1].Move(f.registry.ConnectionLimit(testChain).Active, 2)
	f.shards[1].Inc(f.registry.ConnectionLimit(testChain).Limited)
	f.shards[1].Inc(f.registry.RateLimited(testChain))
	page := get(t, f.exporter(t).Prometheus(), "/stats/prometheus").Body.String()
	stats := get(t, f.exporter(t).Stats(), "/stats").Body.String()
	for _, line := range []string{
		`envoy_rbac_shadow_denied{envoy_rbac_prefix="virtualInbound/inbound|9080||"} 1`,
		`envoy_rbac_denied{envoy_rbac_prefix="virtualInbound/inbound|9080||"} 0`,
		`envoy_connection_limit_active_connections{envoy_connection_limit_prefix="virtualInbound/inbound|9080||"} 2`,
		`envoy_connection_limit_limited_connections{envoy_connection_limit_prefix="virtualInbound/inbound|9080||"} 1`,
		`envoy_local_rate_limit_rate_limited{envoy_local_network_ratelimit_prefix="virtualInbound/inbound|9080||"} 1`,
	} {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
	for _, line := range []string{
		"virtualInbound/inbound|9080||.rbac.shadow_denied: 1",
		"connection_limit.virtualInbound/inbound|9080||.limited_connections: 1",
		"local_rate_limit.virtualInbound/inbound|9080||.rate_limited: 1",
	} {
		if !strings.Contains("\n"+stats, "\n"+line+"\n") {
			t.Errorf("/stats lacks %s", line)
		}
	}
}
