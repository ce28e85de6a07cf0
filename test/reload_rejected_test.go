package test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// rejectedCase is a configuration that must change nothing.
type rejectedCase struct {
	name string
	text string
	want []string // each in a line of its own
}

func rejectedCases(good string) []rejectedCase {
	with := func(old, now string) string { return strings.Replace(good, old, now, 1) }
	return []rejectedCase{
		{"no YAML", "listeners: [", []string{"sluice.yaml:"}},
		{"three problems", with("concurrency: 2", "concurrency: many\nlimits: {max_connections: -1}\nno_such_key: 1"),
			[]string{"concurrency", "limits.max_connections", "no_such_key"}},
		{"no such cluster", with("tcp_proxy: {cluster: g", "tcp_proxy: {cluster: h"), []string{"tcp_proxy.cluster"}},
		{"an address that is taken", withListener(good, "- {name: new, address: \"0.0.0.0:8090\", default_filter_chain: {tcp_proxy: {cluster: g}}}\n"+
			"- {name: taken, address: \"0.0.0.0:8091\", default_filter_chain: {tcp_proxy: {cluster: g}}}\n"), []string{"listener taken: "}},
		{"an address of another host", withListener(good, "- {name: foreign, address: \"10.99.99.99:8090\", default_filter_chain: {tcp_proxy: {cluster: g}}}\n"),
			[]string{"no address of this host"}},
		{"an access log in no directory", with("path: $LOG", "path: /nonexistent/access.log"), []string{"/nonexistent/access.log"}},
	}
}

// TestReloadRejected tries configurations that cannot be used, by POST and by
// SIGHUP: nothing changes, nothing is left behind, and log, answer, metrics and
// /config_dump say why.
func TestReloadRejected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000", remoteIP2+":7000")
	w.pod.Listen("tcp", "0.0.0.0:8091")
	good, other := twoPlaces()[0], twoPlaces()[1]
	s := startSidecar(w, good, asSidecar(redirect))
	live := dial(w, w.client, podIP+":8081")
	if _, _, err := talk(live); err != nil {
		t.Fatal(err)
	}
	listening, failures := w.pod.Run("ss", "-Hltn"), 0.0
	for _, tc := range rejectedCases(good) {
		t.Run(tc.name, func(t *testing.T) {
			s := s.in(t)
			before, logged := s.descriptors(), len(s.process.Log())
			s.put(tc.text)
			status, body := s.callAdmin("POST", "/reload")
			if lines := strings.Split(strings.TrimSpace(body), "\n"); status != http.StatusBadRequest || len(lines) < len(tc.want) {
				t.Errorf("status %d, %d lines, want %d and at least %d", status, len(lines), http.StatusBadRequest, len(tc.want))
			}
			wantText(t, body, tc.want...)
			s.signal(syscall.SIGHUP)
			failures += 2
			s.waitMetric(failures, "sluice_config_reload_total", `result="failure"`)
			s.wantRejected(1, tc.want[0])
			s.w.eventually(func() error {
				if more := s.process.Log()[logged:]; !strings.Contains(more, "nothing has changed") || !strings.Contains(more, tc.want[0]) {
					return fmt.Errorf("the log says only %q", more)
				}
				return nil
			})
			if after := w.pod.Run("ss", "-Hltn"); after != listening {
				t.Errorf("listening sockets were\n%s\nand are\n%s", listening, after)
			}
			s.w.eventually(func() error {
				if after := s.descriptors(); after.sockets+after.others > before.sockets+before.others {
					return fmt.Errorf("descriptors were %v\nand are %v", before.list, after.list)
				}
				return nil
			})
			write(t, live, []byte("x"))
			readFull(t, live, 1)
			if server, _, _ := converse(s, w.client, podIP+":8081"); server != remoteIP+":7000" {
				t.Errorf("a new connection is served by %s", server)
			}
			if ready, err := s.ready(); !ready || err != nil {
				t.Errorf("ready: %t, %v", ready, err)
			}
		})
	}
	if err := os.Remove(s.file); err != nil {
		t.Fatal(err)
	}
	if status, body := s.callAdmin("POST", "/reload"); status != http.StatusBadRequest || !strings.Contains(body, s.file) {
		t.Errorf("without a file: status %d: %s", status, body)
	}
	s.reload(other)
	s.wantRejected(0, "")
	if server, _, _ := converse(s, w.client, podIP+":8081"); server != remoteIP2+":7000" {
		t.Errorf("after a good reload, a new connection is served by %s", server)
	}
	if s.reloads("success") != 1 {
		t.Errorf("%v reloads have succeeded, want 1", s.reloads("success"))
	}
	live.Close()
}

// wantRejected checks what metrics and /config_dump say of the last reload.
func (s *sidecar) wantRejected(want float64, why string) {
	s.w.Helper()
	if got := s.metrics().sum("sluice_config_rejected"); got != want {
		s.w.Errorf("sluice_config_rejected is %v, want %v", got, want)
	}
	_, dump := s.callAdmin("GET", "/config_dump")
	if has := strings.Contains(dump, `"error_state"`); has != (want == 1) || !strings.Contains(dump, why) {
		s.w.Errorf("/config_dump tells of an error: %t; it lacks %q:\n%s", has, why, tail(dump))
	}
}
