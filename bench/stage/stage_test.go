package stage

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/subject"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// patience bounds an exchange in a test.
const patience = 5 * time.Minute

// newStage makes a stage that the end of the test closes.
func newStage(t *testing.T, mode bench.Mode) *Stage {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	st, err := New(mode, Options{Sluice: os.Getenv(sluiceVar), Self: self, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(st.dir); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", st.dir, err)
		}
	})
	return st
}

// found are the subjects on this machine. Only Envoy, which no distribution
// has, may be absent.
func found(t *testing.T) []*subject.Subject {
	t.Helper()
	testnet.Need(t, "nginx", "haproxy", "iptables")
	subjects, leftOut, err := subject.Find(t.Context(), os.Getenv(sluiceVar))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leftOut {
		switch {
		case l.Mode != "":
		case l.Subject == bench.Envoy:
			t.Logf("envoy is not tested: %s (scripts/install-bench-peers)", l.Why)
		default:
			t.Errorf("%s is missing: %s (scripts/install-bench-peers)", l.Subject, l.Why)
		}
	}
	return subjects
}

// TestSubjects has all subjects of a mode at work side by side, and moves bytes
// through each.
func TestSubjects(t *testing.T) {
	for _, mode := range bench.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			st := newStage(t, mode)
			var all []*Running
			for _, s := range found(t) {
				if s.Lacks(mode) != "" {
					continue
				}
				r, err := st.Start(t.Context(), s, 0)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, r)
			}
			for _, r := range all {
				t.Run(r.Subject.Name, func(t *testing.T) { checkSubject(t, r) })
			}
		})
	}
}

func checkSubject(t *testing.T, r *Running) {
	message := make([]byte, 8<<20)
	source := rand.NewChaCha8([32]byte{1})
	if _, err := source.Read(message); err != nil {
		t.Fatal(err)
	}
	client, peer, err := exchange(r, message, patience)
	if err != nil {
		t.Fatal(err)
	}
	direct := r.Subject.Name == bench.Direct
	if (peer == client) != direct {
		t.Errorf("the client is %s, the backend sees %s", client, peer)
	}
	if r.stage.mode == bench.TProxy && !direct && peer.Addr().String() != "127.0.0.6" {
		t.Errorf("the backend sees %s, want 127.0.0.6", peer)
	}
	if (r.PID() == 0) != direct {
		t.Errorf("pid %d", r.PID())
	}
	if err := r.Alive(); err != nil {
		t.Error(err)
	}
	checkConfig(t, r)
	checkMetrics(t, r)
	if direct {
		return
	}
	checkProgram(t, r)
	if err := r.proxy.stop(); err != nil {
		t.Error(err)
	}
	if _, peer, err := exchange(r, message, dialTimeout); err == nil {
		t.Errorf("without the proxy a connection still comes to the backend, from %s", peer)
	}
	// What was taken away above is no fault of it.
	r.proxy = nil
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}

// exchange sends a message through a subject, to which it connects within a while,
// and wants it back. It returns the client's address, and that which the backend saw.
func exchange(r *Running, message []byte, within time.Duration) (client, peer netip.AddrPort, err error) {
	conn, err := r.place.client.dial(r.place.cast, r.Target(), within)
	if err != nil {
		return client, peer, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return client, peer, err
	}
	seen, err := echo(conn, message)
	if err != nil {
		return client, peer, err
	}
	peer, err = netip.ParseAddrPort(seen)
	return netip.MustParseAddrPort(conn.LocalAddr().String()), peer, err
}

// checkConfig wants the configuration that the report shows to be in use.
func checkConfig(t *testing.T, r *Running) {
	if r.Subject.Name == bench.Direct {
		return
	}
	if r.Config.Mode != r.stage.mode || !slices.Contains(r.Config.Command, r.dir+"/"+r.Config.File) {
		t.Errorf("mode %s, command %q", r.Config.Mode, r.Config.Command)
	}
	text, err := os.ReadFile(r.dir + "/" + r.Config.File)
	if err != nil || string(text) != r.Config.Text {
		t.Errorf("%s is not what the report shows: %v\n%s", r.Config.File, err, text)
	}
}

// checkMetrics has sluice say that it carried connections.
func checkMetrics(t *testing.T, r *Running) {
	text, err := r.Scrape(t.Context())
	if r.Subject.Name != bench.Sluice {
		if err == nil {
			t.Errorf("%s has metrics", r.Subject.Name)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "go_gc_duration_seconds{") || !strings.Contains(text, "envoy_cluster_upstream_cx_total{") {
		t.Errorf("neither pauses nor connections in the metrics:\n%s", text)
	}
}

// checkProgram wants the pid to be the program's own, as the user that the
// capture rules know, with all descriptors that it may have.
func checkProgram(t *testing.T, r *Running) {
	dir := fmt.Sprintf("/proc/%d/", r.PID())
	program, err := os.Readlink(dir + "exe")
	if err != nil || filepath.Base(program) != filepath.Base(r.Subject.Program) {
		t.Errorf("pid %d is %s, %v", r.PID(), program, err)
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		t.Fatal(err)
	}
	if r.stage.mode != bench.Explicit && !strings.Contains(string(status), "\nUid:\t1337\t1337\t1337\t1337\n") {
		t.Errorf("it does not run as uid 1337:\n%s", status)
	}
	limits, err := os.ReadFile(dir + "limits")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(limits), "Max open files")
	if fields := strings.Fields(line); len(fields) < 2 || fields[0] != fields[1] {
		t.Errorf("its limits:\n%s", limits)
	}
}

// TestSeries wants sluice's metrics as long as asked for.
func TestSeries(t *testing.T) {
	const series = 10_000
	st := newStage(t, bench.Explicit)
	s := &subject.Subject{Name: bench.Sluice, Program: os.Getenv(sluiceVar)}
	r, err := st.Start(t.Context(), s, series)
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.Scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			n++
		}
	}
	if n < series || n > series*5/4 {
		t.Errorf("%d series, want %d or some more", n, series)
	}
}
