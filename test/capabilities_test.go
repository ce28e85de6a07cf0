package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// noCapabilities and netRaw are sets as /proc/PID/status shows them
// (CAP_NET_RAW is number 13, capabilities(7)).
const (
	noCapabilities = "0000000000000000"
	netRaw         = "0000000000002000"
)

// TestCapabilities relays as uid 1337 with the fewest capabilities that each
// way of capture needs.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	type capabilitiesCase struct {
		mode     capture
		has      string
		seenFrom string // by the application
	}
	for _, tc := range []capabilitiesCase{
		{redirect, noCapabilities, "127.0.0.6"},
		{tproxy, netRaw, clientIP}, // IP_TRANSPARENT twice, and SO_MARK
	} {
		t.Run(string(tc.mode), func(t *testing.T) {
			w := newWorld(t)
			serveGreeting(w, w.pod, "0.0.0.0:7000")
			serveGreeting(w, w.remote, "0.0.0.0:7000")
			w.applyRules(tc.mode)
			s := startSidecar(w, sidecarText(settings{mode: tc.mode}), asSidecar(tc.mode))
			if _, seen, _ := converse(s, w.client, podIP+":7000"); host(seen) != tc.seenFrom {
				t.Errorf("the application sees %s, want %s", seen, tc.seenFrom)
			}
			converse(s, w.pod, remoteIP+":7000")
			status := statusOf(w, s.process.PID())
			for _, key := range []string{"CapEff", "CapPrm", "CapInh", "CapAmb"} {
				if status[key] != tc.has {
					t.Errorf("%s is %s, want %s", key, status[key], tc.has)
				}
			}
			for _, key := range []string{"Uid", "Gid"} {
				if want := strings.TrimSpace(strings.Repeat(fmt.Sprint(sidecarID, " "), 4)); status[key] != want {
					t.Errorf("%s is %q, want %q", key, status[key], want)
				}
			}
			if status["Groups"] != "" {
				t.Errorf("supplementary groups %q", status["Groups"])
			}
		})
	}
}

// statusOf is /proc/PID/status by its keys, with single spaces.
func statusOf(w *world, pid int) map[string]string {
	w.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		w.Fatal(err)
	}
	status := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		status[key] = strings.Join(strings.Fields(value), " ")
	}
	return status
}
