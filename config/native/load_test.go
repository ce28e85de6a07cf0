package native

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

const small = `listeners:
- name: l
  address: 127.0.0.1:1000
  filter_chains:
  - &chain
    match: {destination_port: 80}
    tcp_proxy: {cluster: a}
  - <<: *chain
    match: {destination_port: 81}
clusters:
- name: a
`

func TestLoadReadErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	_, err := Load(missing, Options{})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Load(t.TempDir(), Options{}); err == nil {
		t.Error("a directory was read")
	}
	if _, err := Load("/dev/zero", Options{}); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("/dev/zero: %v", err)
	}
}

func TestErrorIsStructured(t *testing.T) {
	_, err := Parse("x.yml", []byte("limits:\n  max_connections: -1\n"), Options{})
	var parsed *Error
	if !errors.As(err, &parsed) {
		t.Fatalf("%T is no *Error", err)
	}
	want := []Problem{{File: "x.yml", Line: 2, Path: "limits.max_connections", Message: "must be 0 (unlimited) or more, not -1"}}
	if !reflect.DeepEqual(parsed.Problems, want) {
		t.Errorf("got %+v", parsed.Problems)
	}
}

func TestExplainFindsLines(t *testing.T) {
	loaded, err := Parse("x.yml", []byte(small), Options{Flags: map[string]string{"log-level": "debug"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := loaded.Explain(nil); err != nil {
		t.Errorf("no problem gives %v", err)
	}
	type lineCase struct{ path, at string }
	for _, tc := range []lineCase{
		{"listeners[0].address", "x.yml:3"},
		{"listeners[0].filter_chains[0]", "x.yml:5"},
		{"listeners[0].filter_chains[1]", "x.yml:8"},
		{"listeners[0].filter_chains[1].match.destination_port", "x.yml:9"},
		{"listeners[0].filter_chains[1].tcp_proxy.cluster", "x.yml:7"}, // comes from the anchor
		{"listeners[0].filter_chains[1].tcp_proxy.idle_timeout", "x.yml:7"},
		{"listeners[0].filter_chains[7]", "x.yml:4"},
		{"clusters[0].name", "x.yml:11"},
		{"metrics.address", "x.yml:1"},
		{"log.level", "--log-level"},
	} {
		t.Run(tc.path, func(t *testing.T) {
			err := loaded.Explain(config.Problems{{Path: tc.path, Message: "is wrong"}})
			if want := fmt.Sprintf("%s: %s: is wrong", tc.at, tc.path); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

func TestPrepareSeesOnlyValidConfigurations(t *testing.T) {
	calls := 0
	opts := Options{Prepare: func(*config.Config) config.Problems {
		calls++
		return config.Problems{{Path: "listeners[0].filter_chains[1].match", Message: "is the same as filter_chains[0]"}}
	}}
	_, err := Parse("x.yml", []byte(small), opts)
	if want := "x.yml:9: listeners[0].filter_chains[1].match: is the same as filter_chains[0]"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, broken := range []string{"limts: {}\n", "concurrency: -1\n", "a: [\n"} {
		if _, err := Parse("x.yml", []byte(broken), opts); err == nil {
			t.Errorf("%q was accepted", broken)
		}
	}
	if calls != 1 {
		t.Errorf("called %d times, want once", calls)
	}
}

// chainFile is a configuration with n chains.
func chainFile(n int) []byte {
	var b strings.Builder
	b.WriteString("clusters:\n- {name: a, endpoints: [{address: 10.0.0.1:80}]}\nlisteners:\n- name: l\n  address: 127.0.0.1:1000\n  filter_chains:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: chain|%d
    match:
      destination_port: %d
      prefix_ranges: [10.%d.%d.0/24]
      source_type: external
    tcp_proxy:
      cluster: a
      idle_timeout: 5m
`, i, 1+i%60000, i>>8&255, i&255)
	}
	return []byte(b.String())
}

func TestLargeFile(t *testing.T) {
	data := chainFile(45000)
	if len(data) < 9<<20 {
		data = append(data, strings.Repeat("# a comment that fills the file\n", (10<<20-len(data))/32)...)
	}
	loaded, err := Parse("large.yml", data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(loaded.Config.Listeners[0].FilterChains); got != 45000 {
		t.Errorf("%d chains", got)
	}
}

func BenchmarkParse10000Chains(b *testing.B) {
	data := chainFile(10000)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse("bench.yml", data, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
