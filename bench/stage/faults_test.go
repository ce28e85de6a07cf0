package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/subject"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// script writes a program that takes the place of a subject's.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestStartFaults wants errors that say what is wrong, and nothing left behind.
func TestStartFaults(t *testing.T) {
	for _, tc := range []struct {
		name    string
		mode    bench.Mode
		subject string
		program string
		self    string // "": the stand-in
		sluice  string // "": the one built
		want    []string
	}{
		{"a subject that does not start", bench.Explicit, bench.HAProxy, script(t, "echo no memory; exit 3"), "", "",
			[]string{"start haproxy in mode explicit", "haproxy has ended by itself: exit status 3", "no memory"}},
		{"one that does not start in namespaces", bench.Redirect, bench.HAProxy, script(t, "echo no memory; exit 3"), "", "",
			[]string{"start haproxy in mode redirect", "exit status 3", "no memory"}},
		{"a program that is not there", bench.Explicit, bench.HAProxy, "/no/such/haproxy", "", "", []string{"/no/such/haproxy"}},
		{"a backend that does not start", bench.Explicit, bench.Direct, "", script(t, "echo no port; exit 4"), "",
			[]string{"the backend", "exit status 4", "no port"}},
		{"rules that cannot be applied", bench.TProxy, bench.HAProxy, "/bin/true", "", script(t, "echo no iptables >&2; exit 5"),
			[]string{"apply the capture rules", "exit status 5", "no iptables"}},
		{"a mode that there is not", bench.Redirect, bench.Nginx, "/bin/true", "", "", []string{"SO_ORIGINAL_DST"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := newStage(t, tc.mode)
			if tc.self != "" {
				st.options.Self = tc.self
			}
			if tc.sluice != "" {
				st.options.Sluice = tc.sluice
			}
			_, err := st.Start(t.Context(), &subject.Subject{Name: tc.subject, Program: tc.program}, 0)
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q in it", err, want)
				}
			}
			if dirs, err := os.ReadDir(st.dir); err != nil || tc.mode == bench.Explicit && len(dirs) > 0 {
				t.Errorf("left behind: %v, %v", dirs, err)
			}
		})
	}
	if _, err := New("sideways", Options{}); err == nil {
		t.Error("there is a mode sideways")
	}
}

// TestCancel has the start of a subject that never listens given up.
func TestCancel(t *testing.T) {
	st := newStage(t, bench.Explicit)
	ctx, cancel := context.WithCancel(t.Context())
	program := script(t, "trap 'exit 0' TERM; kill -s USR1 $PPID; while :; do sleep 0.01; done")
	cancel()
	_, err := st.Start(ctx, &subject.Subject{Name: bench.HAProxy, Program: program}, 0)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestDeath wants a subject that dies to be noticed, with its log.
func TestDeath(t *testing.T) {
	testnet.Need(t, "haproxy")
	st := newStage(t, bench.Explicit)
	s, err := subject.Named(found(t), bench.HAProxy)
	if err != nil {
		t.Fatal(err)
	}
	r, err := st.Start(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.proxy.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-r.proxy.done
	for name, err := range map[string]error{"Alive": r.Alive(), "Stop": r.Stop(), "Stop again": r.Stop()} {
		if err == nil || !strings.Contains(err.Error(), "haproxy has ended by itself: signal: killed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	st.running = nil // Close would say it once more
}

// TestGroup wants the children of a program killed that it has left behind, as
// nginx's workers are when their master is killed.
func TestGroup(t *testing.T) {
	cmd := spot{}.command("/bin/sh", "-c", "sleep 1000 & echo $!; exit 0")
	p, err := start("parent", cmd)
	if err != nil {
		t.Fatal(err)
	}
	testnet.Eventually(t, patience, func() error {
		if !strings.Contains(p.log.String(), "\n") {
			return fmt.Errorf("log %q", p.log)
		}
		return nil
	})
	<-p.done
	child := strings.TrimSpace(p.log.String())
	if err := p.stop(); err == nil {
		t.Error("that it had ended is no error")
	}
	testnet.Eventually(t, patience, func() error {
		stat, err := os.ReadFile("/proc/" + child + "/stat")
		if os.IsNotExist(err) || strings.Contains(string(stat), ") Z ") {
			return nil
		}
		return fmt.Errorf("child %s is alive", child)
	})
}

// TestTail keeps the end.
func TestTail(t *testing.T) {
	var log tail
	for range tailSize {
		fmt.Fprint(&log, "abc")
	}
	fmt.Fprint(&log, "end")
	if got := log.String(); len(got) != tailSize || !strings.HasSuffix(got, "cabcend") {
		t.Errorf("%d bytes kept, the last: %q", len(got), got[len(got)-10:])
	}
}
