package admin

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// daemon is what the admin API is shown in tests.
type daemon struct {
	options Options
	state   State
	asked   ConnectionQuery
	quits   int
	reloads int

	rejected *Rejected
	logs     *observer.ObservedLogs
}

func newDaemon(address string) *daemon {
	core, logs := observer.New(zap.InfoLevel)
	d := &daemon{state: Live, logs: logs}
	d.options = Options{
		Address: address, Log: zap.New(core),
		State: func() State { return d.state },
		Server: func() ServerInfo {
			return ServerInfo{Version: "v1/test", Start: time.Now().Add(-90 * time.Second), FirstStart: time.Now().Add(-290 * time.Second), NodeID: "reviews-1", NodeCluster: "reviews", Options: map[string]any{"concurrency": 2}}
		},
		Listeners: func() []ListenerInfo {
			return []ListenerInfo{
				{"virtualOutbound", netip.MustParseAddrPort("0.0.0.0:15001")},
				{"virtualInbound", netip.MustParseAddrPort("[::]:15006")},
			}
		},
		Clusters:    testClusters,
		Connections: d.connections,
		ConfigDump: func() ConfigDump {
			return ConfigDump{Version: "7", LastUpdated: time.Date(2026, 7, 4, 11, 5, 9, 0, time.UTC), Config: testConfig(), Rejected: d.rejected}
		},
		Reload: d.reload,
		FailReadiness: func(fail bool) {
			d.state = Live
			if fail {
				d.state = Draining
			}
		},
		DrainListeners: func(Drain) {},
		Stats:          http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeText(w, "server.live: 1\n") }),
		Prometheus:     http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeText(w, "envoy_server_live 1\n") }),
		Level:          zap.NewAtomicLevel(),
		Quit:           func() { d.quits++ },
	}
	return d
}

func testClusters() []ClusterInfo {
	return []ClusterInfo{
		{Name: "PassthroughCluster", MaxConnections: 1024, MaxPending: 1024},
		{Name: "outbound|9080||ratings", MaxConnections: 10, MaxPending: 1024, AddedViaAPI: true, Outliers: &OutlierInfo{Average: 93.75, Threshold: -1}, Endpoints: []EndpointInfo{
			{Address: netip.MustParseAddrPort("10.4.1.12:9080"), CxActive: 1, CxConnectFail: 2, CxTotal: 3, Weight: 1, LocalOriginSuccessRate: -1},
			{Address: netip.MustParseAddrPort("[fd00:4::12]:9080"), Hostname: "ratings.example", HealthFlags: "/failed_active_hc/failed_eds_health", Weight: 5, Priority: 1, Region: "us-west2", Zone: "a", LocalOriginSuccessRate: 87.5},
			{Address: netip.MustParseAddrPort("10.4.1.13:9080"), HealthFlags: "/degraded_active_hc/degraded_eds_health", Weight: 1, LocalOriginSuccessRate: -1},
		}},
	}
}

func (d *daemon) connections(query ConnectionQuery) []ConnectionInfo {
	d.asked = query
	return []ConnectionInfo{
		{
			ID: 42, Listener: "virtualOutbound", FilterChain: "outbound|9080||", Cluster: "outbound|9080||ratings",
			DownstreamRemote: netip.MustParseAddrPort("10.4.0.5:40312"), DownstreamLocal: netip.MustParseAddrPort("10.96.7.1:9080"),
			UpstreamLocal: netip.MustParseAddrPort("10.4.0.5:51000"), UpstreamHost: netip.MustParseAddrPort("10.4.1.12:9080"),
			BytesReceived: 1024, BytesSent: 2048, Age: 65*time.Second + 7*time.Millisecond, Idle: 12345 * time.Microsecond, Engine: "splice",
		},
		{ID: 43, Listener: "virtualInbound", DownstreamRemote: netip.MustParseAddrPort("10.4.0.9:1")},
	}
}

// reload is accepted the first time.
func (d *daemon) reload() (string, error) {
	if d.reloads++; d.reloads == 1 {
		return "reloaded", nil
	}
	err := errors.New("x.yml:1: listerners: unknown key")
	d.rejected = &Rejected{At: time.Date(2026, 7, 4, 11, 6, 0, 0, time.UTC), Why: err.Error()}
	return "", err
}

func testConfig() map[string]any {
	return map[string]any{"node": map[string]any{"id": "reviews-1"}, "drain": map[string]any{"time": "45s"}, "clusters": nil}
}

// start starts a server and gives its base URL.
func start(t *testing.T, s *Server) string {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Addr().String()
}

type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends one request on a connection of its own. Headers come in pairs.
func ask(t *testing.T, method, url string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
		request.Header.Set(headers[i], headers[i+1])
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile("testdata/"+file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r", "") {
		t.Errorf("%s differs (go test -update rewrites it); got:\n%s", file, got)
	}
}
