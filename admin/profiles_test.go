package admin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestProfiles(t *testing.T) {
	base := start(t, New(newDaemon("127.0.0.1:0").options))
	type profileCase struct {
		method, path string
		status       int
		has          string
	}
	for _, c := range []profileCase{
		{"GET", "/debug/pprof/", 200, "goroutine"},
		{"GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile:"},
		{"GET", "/debug/pprof/heap", 200, "\x1f\x8b"}, // gzip
		{"GET", "/debug/pprof/cmdline", 200, "admin.test"},
		{"GET", "/debug/pprof/symbol", 200, "num_symbols"},
		{"GET", "/debug/pprof/trace?seconds=0.01", 200, "go 1."},
		{"GET", "/debug/pprof/nonsense", 404, "Unknown profile"},
		{"POST", "/debug/pprof/profile", 405, ""},
		{"GET", "/debug/vars", 404, "invalid path"},
	} {
		if got := ask(t, c.method, base+c.path); got.status != c.status || !strings.Contains(got.body, c.has) {
			t.Errorf("%s %s: %d %q, want %d with %q", c.method, c.path, got.status, got.body, c.status, c.has)
		}
	}
}

// Who reaches the metrics or the readiness port gets no profiles, and neither
// does a page that calls the admin port by a name of its own.
func TestProfilesAreForTheAdminPort(t *testing.T) {
	d := newDaemon("127.0.0.1:0")
	metrics := start(t, NewMetricsServer(MetricsOptions{Address: "127.0.0.1:0", Prometheus: d.options.Prometheus, Log: zap.NewNop()}))
	readiness := start(t, NewReadinessServer(ReadinessOptions{Address: "127.0.0.1:0", Log: zap.NewNop(), Ready: func() (string, bool) { return "", true }}))
	for _, base := range []string{metrics, readiness} {
		if got := ask(t, "GET", base+profilesPath); got.status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", base, got.status)
		}
	}
	if got := ask(t, "GET", start(t, New(d.options))+profilesPath, "Host", "evil.example"); got.status != http.StatusForbidden {
		t.Errorf("another Host: %d, want 403", got.status)
	}
}

// A profile may take longer than a request may take to arrive, and its answer
// than others.
func TestProfileOutlastsTimeouts(t *testing.T) {
	s := New(newDaemon("127.0.0.1:0").options)
	s.http.ReadTimeout, s.http.WriteTimeout = 3*time.Second, 3*time.Second
	base := start(t, s)
	began := time.Now()
	if got := ask(t, "GET", base+"/debug/pprof/trace?seconds=3.2"); got.status != http.StatusOK || got.body == "" {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if took := time.Since(began); took < 3200*time.Millisecond {
		t.Errorf("cut short after %v", took)
	}
}
