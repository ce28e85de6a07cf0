package subject

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/config/native"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// plan is the same for all golden files.
func plan(m bench.Mode) Plan {
	p := Plan{
		Mode: m, Workers: 2, Connections: 9500, Dir: "/run/bench",
		Listen:  netip.MustParseAddrPort("127.0.0.1:20001"),
		Backend: netip.MustParseAddrPort("127.0.0.1:20000"),
		Admin:   netip.MustParseAddrPort("127.0.0.1:15000"),
		Metrics: netip.MustParseAddrPort("127.0.0.1:15090"),
	}
	switch m {
	case bench.Redirect:
		p.Listen = netip.AddrPortFrom(netip.IPv4Unspecified(), OutboundPort)
	case bench.TProxy:
		p.Listen = netip.AddrPortFrom(netip.IPv4Unspecified(), InboundPort)
	}
	return p
}

// TestConfig holds every configuration, command line first, to a golden file.
func TestConfig(t *testing.T) {
	for _, name := range Names() {
		s := &Subject{Name: name, Program: "/usr/sbin/" + programName(name)}
		if name == bench.Nginx {
			s.module = "/usr/lib/nginx/modules/ngx_stream_module.so"
		}
		for _, mode := range bench.Modes() {
			if name == bench.Direct || s.Lacks(mode) != "" {
				continue
			}
			t.Run(name+"-"+string(mode), func(t *testing.T) {
				got, err := s.Config(plan(mode))
				if err != nil {
					t.Fatal(err)
				}
				if got.Mode != mode {
					t.Errorf("mode %q", got.Mode)
				}
				compare(t, string(mode)+"-"+got.File, "# "+strings.Join(got.Command, " ")+"\n"+got.Text)
			})
		}
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not as in %s (-update rewrites it):\n%s", file, got)
	}
}

// TestSluiceReadsIt has sluice's own reader take its configurations, those with
// many series among them.
func TestSluiceReadsIt(t *testing.T) {
	s := &Subject{Name: bench.Sluice, Program: "sluice"}
	for _, mode := range bench.Modes() {
		p := plan(mode)
		p.Series = 10_000
		got, err := s.Config(p)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := native.Parse(got.File, []byte(got.Text), native.Options{})
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		if n := len(parsed.Config.Clusters) * seriesOfCluster; n < p.Series || n > 2*p.Series {
			t.Errorf("%s: %d clusters for %d series", mode, len(parsed.Config.Clusters), p.Series)
		}
	}
}

// TestNoConfig has those refused that have none.
func TestNoConfig(t *testing.T) {
	for _, tc := range []struct {
		name, subject string
		mode          bench.Mode
		want          string
	}{
		{"nginx under REDIRECT", bench.Nginx, bench.Redirect, "SO_ORIGINAL_DST"},
		{"nginx under TPROXY", bench.Nginx, bench.TProxy, "IP_TRANSPARENT"},
		{"not a subject", "squid", bench.Explicit, `no subject "squid"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := (&Subject{Name: tc.subject}).Config(plan(tc.mode))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
	got, err := (&Subject{Name: bench.Direct}).Config(plan(bench.Redirect))
	if err != nil || got.Command != nil || got.File != "" || got.Text != "" {
		t.Errorf("direct has %+v, %v", got, err)
	}
}
