package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/backend"
)

// line runs one command line in this process.
func line(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), &env{&out, &errs, strings.NewReader(stdin), "/no/such/sluicebench"}, args)
	return code, out.String(), errs.String()
}

func TestExitCodes(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(broken, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		args  []string
		stdin string
		code  int
		err   string
	}{
		{"help", []string{"--help"}, "", 0, ""},
		{"nothing", nil, "", 2, "what is to be done"},
		{"unknown command", []string{"campare"}, "", 2, "campare"},
		{"unknown flag", []string{"load", "127.0.0.1:1", "--seize", "3"}, "", 2, "--seize"},
		{"no address", []string{"load"}, "", 2, "accepts 1 arg"},
		{"not an address", []string{"load", "localhost"}, "", 2, "want an address with its port"},
		{"no such kind", []string{"load", "127.0.0.1:1", "--kind", "requets"}, "", 2, "requets"},
		{"no such load", []string{"load", "127.0.0.1:1", "-c", "0", "--size", "0"}, "", 2, "connections 0: want 1 to 200000; size 0"},
		{"a plan that is none", []string{"load", "127.0.0.1:1", "--plan", "-"}, `{"knd":"idle"}`, 2, `unknown field "knd"`},
		{"a plan in a file", []string{"load", "127.0.0.1:1", "--plan", "x.json"}, "", 2, "want - for standard input"},
		{"nobody there", []string{"load", "127.0.0.1:1", "--duration", "100ms", "--warmup", "0s"}, "", 1, "do not count"},
		{"backend nowhere", []string{"backend", "--listen", "9000"}, "", 2, "--listen"},
		{"no such form", []string{"compare", "--form", "long"}, "", 2, "want short, full or smoke"},
		{"no such scenario", []string{"compare", "--only", "requests-65"}, "", 2, "requests-64, "},
		{"nothing to compare", []string{"compare", "--sluice", "/no/such/sluice", "--out", t.TempDir()}, "", 1, "/no/such/sluice"},
		{"no report", []string{"report", "/no/such/report"}, "", 1, "/no/such/report"},
		{"not a report", []string{"report", broken}, "", 1, broken},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			code, out, errs := line(t, tc.stdin, tc.args...)
			if code != tc.code || !strings.Contains(errs, tc.err) {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", code, tc.code, out, errs)
			}
		})
	}
}

func TestLoadAsTextAndAsJSON(t *testing.T) {
	server, err := backend.Serve(netip.MustParseAddrPort("127.0.0.1:0"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	args := []string{"load", server.Addr().String(), "-c", "4", "--duration", "1s", "--warmup", "0s"}
	code, out, errs := line(t, "", args...)
	if code != 0 || !strings.Contains(out, "requests/s") || !strings.Contains(out, "p99.9") {
		t.Errorf("exit %d\nstdout: %s\nstderr: %s", code, out, errs)
	}
	plan := `{"kind":"connections","protocol":"own","connections":2,"size":64,"ending":"rst","beside":{},"warmup":0,"duration":1000000000}`
	code, out, errs = line(t, plan, append(args, "--json", "--plan", "-")...)
	var measure bench.Measure
	if err := json.Unmarshal([]byte(out), &measure); err != nil || code != 0 || measure.Opened == 0 || measure.Load.Ending != bench.RST {
		t.Errorf("exit %d, %v\nstdout: %s\nstderr: %s", code, err, out, errs)
	}
}

func TestChosenScenariosBringThoseTheyDependOn(t *testing.T) {
	all := []bench.Scenario{{Name: "a"}, {Name: "b"}, {Name: "c", Of: "a"}}
	got, err := chosen(all, []string{"c"})
	if err != nil || len(got) != 2 || got[0].Name != "a" || got[1].Name != "c" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestReportIsKeptAndShown(t *testing.T) {
	flags := &compareFlags{out: filepath.Join(t.TempDir(), "out")}
	kept := &bench.Report{Rounds: 5, Scenarios: []bench.Scenario{{Name: "requests-64", Mode: bench.Explicit, Figure: bench.AnswersPerSecond}},
		Subjects: []bench.Subject{{Name: bench.Nginx, Configs: []bench.Config{{Mode: bench.Explicit, File: "nginx.conf", Text: "worker_processes 2;\n"}}}},
		Rows:     []bench.Row{{Scenario: "requests-64", Subject: bench.Nginx, Void: "round 1: it fell over"}}}
	if err := flags.write(kept); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(flags.out, "explicit-nginx.conf")); err != nil || string(text) != "worker_processes 2;\n" {
		t.Errorf("the configuration is kept as %q, %v", text, err)
	}
	page := filepath.Join(flags.out, "again.html")
	code, out, errs := line(t, "", "report", filepath.Join(flags.out, "report.json"), "--html", page)
	if code != 0 || !strings.Contains(out, "it fell over") {
		t.Errorf("exit %d\nstdout: %s\nstderr: %s", code, out, errs)
	}
	if _, err := os.Stat(page); err != nil {
		t.Error(err)
	}
	if err := void(kept); err == nil || !strings.Contains(err.Error(), "nginx in requests-64: round 1: it fell over") {
		t.Errorf("void rows are told as: %v", err)
	}
}

func TestBackendEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if code := execute(ctx, &env{&out, &errs, strings.NewReader(""), ""}, []string{"backend"}); code != 0 || !strings.HasPrefix(out.String(), "listening on 127.0.0.1:") {
		t.Errorf("exit %d\nstdout: %s\nstderr: %s", code, &out, &errs)
	}
}
