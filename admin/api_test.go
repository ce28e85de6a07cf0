package admin

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestGolden(t *testing.T) {
	base := start(t, New(newDaemon("127.0.0.1:0").options))
	type goldenCase struct{ file, path, contentType string }
	for _, c := range []goldenCase{
		{"index.html", "/", "text/html"},
		{"help.txt", "/help", "text/plain"},
		{"clusters.txt", "/clusters", "text/plain"},
		{"clusters.json", "/clusters?format=json", "application/json"},
		{"listeners.txt", "/listeners", "text/plain"},
		{"listeners.json", "/listeners?format=json", "application/json"},
		{"connections.txt", "/connections", "text/plain"},
		{"connections.json", "/connections?format=json", "application/json"},
		{"config_dump.json", "/config_dump", "application/json"},
	} {
		got := ask(t, http.MethodGet, base+c.path)
		if got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Type"), c.contentType) {
			t.Errorf("%s: status %d, content type %s", c.path, got.status, got.header.Get("Content-Type"))
		}
		golden(t, c.file, got.body)
	}
}

func TestAnswers(t *testing.T) {
	d := newDaemon("127.0.0.1:0")
	base := start(t, New(d.options))
	type answerCase struct {
		method, path string
		status       int
		has          string
	}
	for _, c := range []answerCase{
		{"GET", "/stats", 200, "server.live: 1"},
		{"GET", "/stats/prometheus", 200, "envoy_server_live 1"},
		{"GET", "/ready", 200, "LIVE\n"},
		{"GET", "/nonsense", 404, "invalid path. admin commands are:"},
		{"GET", "/clusters?format=xml", 400, "usage"},
		{"GET", "/listeners?format=xml", 400, "usage"},
		{"GET", "/connections?format=xml", 400, "usage"},
		{"GET", "/connections?limit=0", 400, "limit"},
		{"GET", "/connections?limit=x", 400, "limit"},
		{"GET", "/certs", 501, "not supported yet"},
		{"POST", "/drain_listeners?graceful", 200, "OK\n"},
		{"POST", "/healthcheck/fail", 200, "OK\n"},
		{"GET", "/ready", 503, "DRAINING\n"},
		{"POST", "/healthcheck/ok", 200, "OK\n"},
		{"GET", "/ready", 200, "LIVE\n"},
		{"POST", "/reload", 200, "reloaded\n"},
		{"POST", "/reload", 400, "x.yml:1: listerners: unknown key\n"},
		{"GET", "/config_dump", 200, `"details": "x.yml:1: listerners: unknown key"`},
	} {
		if got := ask(t, c.method, base+c.path); got.status != c.status || !strings.Contains(got.body, c.has) {
			t.Errorf("%s %s: %d %q, want %d with %q", c.method, c.path, got.status, got.body, c.status, c.has)
		}
	}
}

func TestMethods(t *testing.T) {
	d := newDaemon("127.0.0.1:0")
	base := start(t, New(d.options))
	for _, r := range (&api{Options: d.options}).allRoutes() {
		refused, allow := []string{"POST", "PUT", "DELETE", "OPTIONS"}, "GET, HEAD"
		if r.changes {
			refused, allow = []string{"GET", "HEAD", "PUT", "DELETE"}, "POST"
		}
		for _, method := range refused {
			got := ask(t, method, base+r.path)
			if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != allow {
				t.Errorf("%s %s: status %d, Allow %q; want 405 and %q", method, r.path, got.status, got.header.Get("Allow"), allow)
			}
		}
		if !r.changes {
			get, head := ask(t, "GET", base+r.path), ask(t, "HEAD", base+r.path)
			if head.status != get.status || head.body != "" {
				t.Errorf("HEAD %s: status %d and %d bytes, want %d and none", r.path, head.status, len(head.body), get.status)
			}
		}
	}
	if d.quits != 0 {
		t.Error("a refused method stopped the daemon")
	}
}

func TestReadyStates(t *testing.T) {
	d := newDaemon("127.0.0.1:0")
	base := start(t, New(d.options))
	for state, status := range map[State]int{Live: 200, Draining: 503, PreInitializing: 503, Initializing: 503} {
		d.state = state
		if got := ask(t, "GET", base+"/ready"); got.status != status || got.body != string(state)+"\n" {
			t.Errorf("%s: %d %q, want %d", state, got.status, got.body, status)
		}
	}
}

func TestServerInfo(t *testing.T) {
	base := start(t, New(newDaemon("127.0.0.1:0").options))
	var info jsonServerInfo
	if err := json.Unmarshal([]byte(ask(t, "GET", base+"/server_info").body), &info); err != nil {
		t.Fatal(err)
	}
	if info.Version != "v1/test" || info.State != Live || info.Node.ID != "reviews-1" || !strings.HasPrefix(info.UptimeCurrentEpoch, "9") || !strings.HasPrefix(info.UptimeAllEpochs, "29") || !strings.HasSuffix(info.UptimeCurrentEpoch, "s") {
		t.Errorf("%+v", info)
	}
}

func TestMemory(t *testing.T) {
	base := start(t, New(newDaemon("127.0.0.1:0").options))
	var info map[string]string
	if err := json.Unmarshal([]byte(ask(t, "GET", base+"/memory").body), &info); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"allocated", "heap_size", "total_physical_bytes"} {
		if len(info[key]) < 5 {
			t.Errorf("%s = %q bytes", key, info[key])
		}
	}
}

func TestLogging(t *testing.T) {
	d := newDaemon("127.0.0.1:0")
	base := start(t, New(d.options))
	type loggingCase struct {
		query  string
		status int
		has    string
		level  string
	}
	for _, c := range []loggingCase{
		{"", 200, "active loggers:\n  sluice: info\n", "info"},
		{"?level=debug", 200, "sluice: debug", "debug"},
		{"?level=warning", 200, "sluice: warning", "warn"},
		{"?level=off", 200, "sluice: off", "fatal"},
		{"?level=trace", 200, "sluice: debug", "debug"},
		{"?level=loud", 400, "levels: trace debug info", "debug"},
		{"?level=info&x=y", 400, "invalid number of parameters", "debug"},
		{"?main=info", 400, "unknown logger level", "debug"},
	} {
		got := ask(t, "POST", base+"/logging"+c.query)
		if got.status != c.status || !strings.Contains(got.body, c.has) || d.options.Level.Level().String() != c.level {
			t.Errorf("%s: %d %q at level %s, want %d with %q at %s", c.query, got.status, got.body, d.options.Level.Level(), c.status, c.has, c.level)
		}
	}
}

func TestQuit(t *testing.T) {
	d := newDaemon("127.0.0.1:0")
	done := make(chan struct{})
	d.options.Quit = func() { close(done) }
	if got := ask(t, "POST", start(t, New(d.options))+"/quitquitquit"); got.status != 200 || got.body != "OK\n" {
		t.Errorf("%+v", got)
	}
	<-done
}

func TestConnectionsQuery(t *testing.T) {
	d := newDaemon("127.0.0.1:0")
	base := start(t, New(d.options))
	ask(t, "GET", base+"/connections")
	if d.asked != (ConnectionQuery{Limit: defaultLimit}) {
		t.Errorf("asked for %+v", d.asked)
	}
	got := ask(t, "GET", base+"/connections?cluster=outbound%7C9080%7C%7Cratings&limit=1&format=json")
	if d.asked != (ConnectionQuery{Cluster: "outbound|9080||ratings", Limit: 1}) {
		t.Errorf("asked for %+v", d.asked)
	}
	var list []jsonConnection
	if err := json.Unmarshal([]byte(got.body), &list); err != nil || len(list) != 1 {
		t.Errorf("%d connections, error %v, want the 1 that the limit allows", len(list), err)
	}
	d.options.Connections = func(ConnectionQuery) []ConnectionInfo { return nil }
	if got := ask(t, "GET", start(t, New(d.options))+"/connections?format=json"); strings.TrimSpace(got.body) != "[]" {
		t.Errorf("no connections: %q, want []", got.body)
	}
}

// A panic in one request is told, and the next request works.
func TestPanicIsContained(t *testing.T) {
	d := newDaemon("127.0.0.1:0")
	d.options.Listeners = func() []ListenerInfo { panic("broken") }
	base := start(t, New(d.options))
	if got := ask(t, "GET", base+"/listeners"); got.status != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", got.status)
	}
	if got := ask(t, "GET", base+"/ready"); got.status != http.StatusOK {
		t.Errorf("afterwards: %d", got.status)
	}
	if d.logs.FilterMessageSnippet("panic").Len() != 1 {
		t.Error("the panic is not in the log")
	}
}

func TestEveryPathIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	d := newDaemon("127.0.0.1:0")
	d.options.Log = zap.NewNop()
	for _, r := range (&api{Options: d.options}).allRoutes() {
		if !strings.Contains(string(page), "`"+r.path+"`") {
			t.Errorf("docs/observability.md does not explain `%s`", r.path)
		}
	}
}
