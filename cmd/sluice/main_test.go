package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/daemon"
)

// line runs one command line in this process.
func line(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = executeArgs(&env{
		stdout: &out, stderr: &errs, stdin: strings.NewReader(""),
		getenv:  func(string) string { return "" },
		environ: func() []string { return nil },
		prepare: daemon.Prepare,
	}, args)
	return code, out.String(), errs.String()
}

func TestExitCodes(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("listeners: [{name: a}]\nlisterners: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		args []string
		code int
		out  string // on standard output
		err  string // on standard error
	}{
		{"version", []string{"version"}, 0, "sluice ", ""},
		{"help", []string{"--help"}, 0, "Available Commands", ""},
		{"completion", []string{"completion", "bash"}, 0, "bash completion", ""},
		{"nothing", nil, 2, "Available Commands", ""},
		{"unknown command", []string{"rum"}, 2, "", "rum"},
		{"unknown flag", []string{"run", "--nope"}, 2, "", "--nope"},
		{"argument too many", []string{"run", "file.yaml"}, 2, "", "file.yaml"},
		{"run without the file", []string{"run", "-c", "/no/such/file"}, 1, "", "/no/such/file"},
		{"run with a broken file", []string{"run", "-c", broken}, 1, "", broken + ":2: listerners:"},
		{"run with a bad flag value", []string{"run", "--log-level", "loud"}, 1, "", "--log-level"},
		{"validate without a file", []string{"validate"}, 2, "", "--config"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			code, out, errs := line(t, tc.args...)
			if code != tc.code || !strings.Contains(out, tc.out) || !strings.Contains(errs, tc.err) {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", code, tc.code, out, errs)
			}
		})
	}
}

// What validate accepts, run must accept too: chains that cannot stand side by
// side are found by the tables of the daemon, not by the model.
func TestValidateSeesWhatTheDaemonSees(t *testing.T) {
	file := filepath.Join(t.TempDir(), "twice.yaml")
	if err := os.WriteFile(file, []byte(`listeners:
- name: a
  address: 127.0.0.1:18080
  filter_chains:
  - {name: one, tcp_proxy: {cluster: c}}
  - {name: two, tcp_proxy: {cluster: c}}
clusters:
- {name: c, type: static}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := line(t, "validate", "-c", file)
	if code != 1 || !strings.Contains(errs, file+":6: listeners[0].filter_chains[1]") || !strings.Contains(errs, `"one"`) {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestWait(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			http.Error(w, "not ready: PRE_INITIALIZING", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	if code, _, errs := line(t, "wait", "--url", server.URL, "--timeout", "10s"); code != 0 || asked.Load() != 3 {
		t.Errorf("exit %d after %d questions: %s", code, asked.Load(), errs)
	}
	asked.Store(-1 << 30)
	code, _, errs := line(t, "wait", "--url", server.URL, "--timeout", "2s")
	if code != 1 || !strings.Contains(errs, "PRE_INITIALIZING") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := waitReady(ctx, "http://127.0.0.1:1/"); err == nil {
		t.Error("nobody listens there, and wait says ready")
	}
}
