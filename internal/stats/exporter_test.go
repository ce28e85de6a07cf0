package stats

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func get(t *testing.T, handler http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	return response
}

// counted is a fixture with something in it.
func counted() *fixture {
	f := newFixture()
	f.sampleAll()
	for i, shard := range f.shards {
		shard.Add(f.listener.CxTotal, uint64(i+1))
		shard.Move(f.listener.CxActive, 1)
		shard.Observe(f.cluster.ConnectMs, 300*time.Microsecond)
		shard.Observe(f.cluster.ConnectMs, 7*time.Millisecond)
		shard.Add(f.loops[i].BusyNanos, 2_500_000)
	}
	f.istio.Close(f.shards[0], "UF,URX")
	return f
}

func TestGolden(t *testing.T) {
	exporter := counted().exporter(t)
	type goldenCase struct{ file, target string }
	for _, c := range []goldenCase{
		{"stats.txt", "/stats"},
		{"stats_usedonly.txt", "/stats?usedonly"},
		{"stats_cumulative.txt", "/stats?filter=connect_ms&histogram_buckets=cumulative"},
		{"stats_disjoint.txt", "/stats?filter=connect_ms&histogram_buckets=disjoint"},
		{"stats.json", "/stats?format=json"},
		{"stats_buckets.json", "/stats?format=json&histogram_buckets=disjoint&filter=_ms$"},
		{"stats.prom", "/stats?format=prometheus&filter=."},
	} {
		response := get(t, exporter.Stats(), c.target)
		if response.Code != http.StatusOK {
			t.Errorf("%s: status %d: %s", c.target, response.Code, response.Body)
			continue
		}
		compareGolden(t, c.file, response.Body.Bytes())
	}
}

func compareGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile("testdata/"+file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update rewrites it); got:\n%s", file, got)
	}
}

func TestPrometheusHasRuntimeAndProcess(t *testing.T) {
	body := get(t, counted().exporter(t).Prometheus(), "/stats/prometheus").Body.String()
	for _, want := range []string{"\ngo_goroutines ", "\nprocess_open_fds ", "\nenvoy_server_live ", "\nsluice_relay_bytes_total{engine=\"copy\"} 0"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q", want)
		}
	}
}

// Prometheus asks for OpenMetrics first. There Envoy's counters would lose
// their type and its buckets their le.
func TestOpenMetricsClientsGetEnvoysForm(t *testing.T) {
	response := get(t, counted().exporter(t).Prometheus(), "/stats/prometheus",
		"Accept", "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5")
	for _, want := range []string{"# TYPE envoy_listener_no_filter_chain_match counter\n", `,le="1"} `} {
		if !strings.Contains(response.Body.String(), want) {
			t.Errorf("%s: no %q", response.Header().Get("Content-Type"), want)
		}
	}
}

func TestPrometheusCompresses(t *testing.T) {
	response := get(t, counted().exporter(t).Prometheus(), "/stats/prometheus", "Accept-Encoding", "gzip")
	if got := response.Header().Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("Content-Encoding %q, want gzip", got)
	}
	plain, err := gzip.NewReader(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(plain); err != nil || !bytes.Contains(content, []byte("envoy_server_live")) {
		t.Errorf("unpacked %d bytes, error %v", len(content), err)
	}
}

func TestStatsQueries(t *testing.T) {
	exporter := counted().exporter(t)
	type queryCase struct {
		target  string
		status  int
		has     string
		hasnt   string
		explain string
	}
	for _, c := range []queryCase{
		{"/stats?filter=^server\\.live$", 200, "server.live: 2", "uptime", "filter"},
		{"/stats?filter=(", 400, "regular expression", "", "broken filter"},
		{"/stats?usedonly", 200, "downstream_cx_total: 3", "idle_timeout", "usedonly"},
		{"/stats?type=Gauges", 200, "downstream_cx_active: 2", "downstream_cx_total", "type"},
		{"/stats?type=Histograms", 200, "No recorded values", "cx_total", "type"},
		{"/stats?type=x", 400, "invalid &type=", "", "broken type"},
		{"/stats?format=html", 400, "usage", "", "unknown format"},
		{"/stats?histogram_buckets=x", 400, "usage", "", "unknown buckets"},
		{"/stats?format=prometheus&usedonly", 200, "envoy_listener_downstream_cx_total{", "idle_timeout", "prometheus"},
		{"/stats?format=prometheus&filter=(", 400, "regular expression", "", "broken filter"},
	} {
		response := get(t, exporter.Stats(), c.target)
		body := response.Body.String()
		if response.Code != c.status || !strings.Contains(body, c.has) || (c.hasnt != "" && strings.Contains(body, c.hasnt)) {
			t.Errorf("%s (%s): status %d, want %d with %q and without %q:\n%.400s", c.target, c.explain, response.Code, c.status, c.has, c.hasnt, body)
		}
	}
}

func TestStatsJSONIsValid(t *testing.T) {
	f := counted()
	f.registry.Cluster("odd \"name\"\n\xff")
	f.shards = []*Shard{f.registry.NewShard()}
	for _, target := range []string{"/stats?format=json", "/stats?format=json&filter=nothing", "/stats?format=json&histogram_buckets=cumulative"} {
		if body := get(t, f.exporter(t).Stats(), target).Body.Bytes(); !json.Valid(body) {
			t.Errorf("%s is no JSON: %s", target, body)
		}
	}
	if response := get(t, f.exporter(t).Prometheus(), "/stats/prometheus"); response.Code != http.StatusOK {
		t.Errorf("an odd name breaks the scrape: %s", response.Body)
	}
}

func TestSampleReplacesAndForgets(t *testing.T) {
	f := newFixture()
	const name = "cluster.a.membership_total"
	f.registry.Sample(ClusterMembershipTotal, func() float64 { return 1 }, "a")
	f.registry.Sample(ClusterMembershipTotal, func() float64 { return 2 }, "a")
	if got := f.value(t, name); got != "2" {
		t.Errorf("after a second Sample: %s, want 2", got)
	}
	f.registry.Forget(ClusterMembershipTotal, "a")
	f.registry.Forget(ClusterMembershipTotal, "never there")
	for _, r := range NewCollector(f.registry, f.gather).read() {
		if r.name() == name {
			t.Error("still shown after Forget")
		}
	}
	f.registry.Sample(ClusterMembershipTotal, func() float64 { return 3 }, "a")
	if got := f.value(t, name); got != "3" {
		t.Errorf("sampled again: %s, want 3", got)
	}
}

func TestSampleProcess(t *testing.T) {
	f := newFixture()
	f.registry.SampleProcess(time.Now().Add(-90*time.Second), "v1")
	if got := f.value(t, "server.uptime"); len(got) < 2 || strings.Contains(got, ".") {
		t.Errorf("uptime %s, want whole seconds, 90 or a little more", got)
	}
	for _, r := range NewCollector(f.registry, f.gather).read() {
		if strings.HasPrefix(r.name(), "server.memory") && (r.sample < 1e4 || math.IsInf(r.sample, 0)) {
			t.Errorf("%s = %v bytes", r.name(), r.sample)
		}
	}
}
