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
		name     string
		mode     capture
		launch   launch
		uid      int
		has      string
		seenFrom string // by the application
	}
	for _, tc := range []capabilitiesCase{
		{"redirect", redirect, asSidecar(redirect), sidecarID, noCapabilities, "127.0.0.6"},
		// IP_TRANSPARENT twice, and SO_MARK.
		{"tproxy", tproxy, asSidecar(tproxy), sidecarID, netRaw, clientIP},
		// As Kubernetes must start it, which gives capabilities to root only.
		{"tproxy as root", tproxy, launch{before: []string{"setpriv", "--regid=1337", "--clear-groups",
			"--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw"}}, 0, netRaw, clientIP},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			serveGreeting(w, w.pod, "0.0.0.0:7000")
			serveGreeting(w, w.remote, "0.0.0.0:7000")
			w.applyRules(tc.mode)
			s := startSidecar(w, sidecarText(settings{mode: tc.mode}), tc.launch)
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
			for key, id := range map[string]int{"Uid": tc.uid, "Gid": sidecarID} { // real, effective, saved, file system
				if want := fmt.Sprint(id, id, id, id); status[key] != want {
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
