package subject

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/bench"
)

// answers are what the programs print when asked for their version.
func answers() map[string]string {
	return map[string]string{
		bench.Sluice:  "sluice v0.3.0 (abc)",
		bench.Nginx:   "nginx version: nginx/1.22.1\nconfigure arguments: --modules-path=MODULES --with-stream=dynamic --with-stream_ssl_module",
		bench.HAProxy: "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/",
		bench.Envoy:   "\nenvoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL",
	}
}

// machine puts stand-ins for the programs into a directory that is all of PATH.
func machine(t *testing.T, names ...string) (dir string) {
	dir = t.TempDir()
	for _, name := range names {
		text := strings.ReplaceAll(answers()[name], "MODULES", dir)
		script := fmt.Sprintf("#!/bin/sh\n/bin/cat <<'END'\n%s\nEND\n", text)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return dir
}

func TestFind(t *testing.T) {
	dir := machine(t, bench.Sluice, bench.Nginx, bench.HAProxy, bench.Envoy)
	if err := os.WriteFile(filepath.Join(dir, "ngx_stream_module.so"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	found, leftOut, err := Find(t.Context(), filepath.Join(dir, "sluice"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range found {
		got = append(got, s.Name+" "+s.Version)
	}
	want := "direct , sluice v0.3.0 (abc), nginx 1.22.1, haproxy 2.6.12-1+deb12u4, haproxy-splice 2.6.12-1+deb12u4, envoy 1.40.0"
	if strings.Join(got, ", ") != want {
		t.Errorf("found %q, want %q", strings.Join(got, ", "), want)
	}
	if len(leftOut) != 2 || leftOut[0].Mode != bench.Redirect || leftOut[1].Mode != bench.TProxy || leftOut[0].Subject != bench.Nginx {
		t.Errorf("left out: %+v, want nginx in both captured modes", leftOut)
	}
	if s, err := Named(found, bench.Nginx); err != nil || s.module != filepath.Join(dir, "ngx_stream_module.so") {
		t.Errorf("nginx is %+v, %v", s, err)
	}
	if _, err := Named(found, "squid"); err == nil {
		t.Error("squid was found")
	}
}

func TestFindFaults(t *testing.T) {
	for _, tc := range []struct {
		name    string
		there   []string
		envoy   string // EnvoyVariable
		subject string
		want    string
	}{
		{"no stream module", []string{bench.Nginx}, "", bench.Nginx, "libnginx-mod-stream"},
		{"an Envoy that is not there", nil, "/no/such/envoy", bench.Envoy, "/no/such/envoy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := machine(t, append(tc.there, bench.Sluice)...)
			t.Setenv(EnvoyVariable, tc.envoy)
			_, leftOut, err := Find(t.Context(), filepath.Join(dir, "sluice"))
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range leftOut {
				if l.Subject == tc.subject && l.Mode == "" && strings.Contains(l.Why, tc.want) {
					return
				}
			}
			t.Errorf("left out: %+v, want %s for %q", leftOut, tc.subject, tc.want)
		})
	}
	if _, _, err := Find(t.Context(), "/no/such/sluice"); err == nil {
		t.Error("a sluice that is not there is no error")
	}
}

// TestLocate looks for Envoy where scripts/install-bench-peers puts it.
func TestLocate(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("PATH", "/nowhere")
	if path, err := locate(bench.Envoy, ""); err == nil {
		t.Fatalf("found %s in an empty cache", path)
	}
	want := filepath.Join(cache, "sluice-bench", "envoy")
	if err := os.MkdirAll(filepath.Dir(want), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := locate(bench.Envoy, ""); err != nil || got != want {
		t.Errorf("found %q, %v, want %q", got, err, want)
	}
}

func TestModulePath(t *testing.T) {
	for _, tc := range []struct{ name, settings, want, err string }{
		{"Debian", "configure arguments: --modules-path=/usr/lib/nginx/modules --with-stream=dynamic", "/usr/lib/nginx/modules/ngx_stream_module.so", ""},
		{"built in", "configure arguments: --modules-path=/m --with-stream --with-stream_ssl_module", "", ""},
		{"without", "configure arguments: --modules-path=/m --with-stream_ssl_module", "", "without its stream module"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := modulePath(tc.settings)
			if got != tc.want || (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %q, %v, want %q, %q", got, err, tc.want, tc.err)
			}
		})
	}
}
