package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// sidecar is a running sluice.
type sidecar struct {
	w         *world
	host      *testnet.Host
	process   *testnet.Process
	accessLog string
	file      string // the configuration
	idle      holding
	checks    int  // sockets that health checks and lookups have at a time, at most
	gone      bool // the test has seen to its end
}

// launch is how a sidecar is started; the zero launch is uid 1337 with no
// capabilities, on the pod.
type launch struct {
	host   *testnet.Host
	uid    uint32
	caps   []string
	before []string // a command that executes sluice, such as prlimit
	env    []string
	files  []*os.File // descriptors from 3 on
	checks int        // sockets that health checks and lookups may have open at any time
}

// startSidecar runs sluice with a configuration, in which $LOG stands for the
// path of the access log, and returns when it is ready.
func startSidecar(w *world, text string, l launch) *sidecar {
	w.Helper()
	s := newSidecar(w, text, l)
	if slices.ContainsFunc(l.env, func(v string) bool { return strings.HasPrefix(v, "SLUICE_TAKEOVER=") }) {
		s.settleForNext() // the socket for it counts as one of an idle sluice
	}
	s.settle()
	return s
}

// settle waits until sluice is ready, and has the test's end see to its end.
func (s *sidecar) settle() {
	s.w.Helper()
	s.waitReady()
	s.process.WaitLog(`"msg":"ready"`) // the log comes behind: with this line, whatever was said before
	s.w.eventually(func() error {
		s.idle = holding{descriptors: s.descriptors(), tracked: len(tracked(s.host))}
		n := len(s.sockets())
		if n > s.checks {
			return fmt.Errorf("%d connections of probes are left", n)
		}
		s.idle.sockets += s.checks - n
		s.idle.tracked += s.checks - n
		m, err := s.scrape()
		s.idle.goroutines = m.sum("go_goroutines")
		return err
	})
	s.w.Cleanup(s.finish)
}

// newSidecar is startSidecar that does not wait, and leaves the end to the
// test.
func newSidecar(w *world, text string, l launch) *sidecar {
	w.Helper()
	dir, err := os.MkdirTemp(w.net.Dir(), "sidecar-")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		w.Fatal(err)
	}
	s := &sidecar{w: w, host: l.host, accessLog: filepath.Join(dir, "access.log"), file: filepath.Join(dir, "sluice.yaml"), checks: l.checks}
	if s.host == nil {
		s.host = w.pod
	}
	if err := os.WriteFile(s.file, []byte(strings.ReplaceAll(text, "$LOG", s.accessLog)), 0o644); err != nil {
		w.Fatal(err)
	}
	s.start(l)
	return s
}

func (s *sidecar) start(l launch) {
	s.w.Helper()
	user := s.host
	if l.uid != 0 {
		user = s.host.As(l.uid, l.uid, l.caps...)
	}
	argv := append(append([]string{}, l.before...), s.w.binary, "run", "-c", s.file)
	cmd := user.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), l.env...)
	cmd.ExtraFiles = l.files
	s.process = user.StartCommand(cmd)
}

// asSidecar is how a sidecar runs in a pod.
func asSidecar(mode capture) launch { return launch{uid: sidecarID, caps: mode.caps()} }

// waitReady waits for the readiness port, and has sluice wait agree.
func (s *sidecar) waitReady() {
	s.w.Helper()
	s.w.eventually(func() error {
		ready, err := s.ready()
		if s.process.Exited() {
			s.w.Fatalf("sluice has ended:\n%s", s.process.Log())
		}
		if err == nil && !ready {
			err = errors.New("not ready")
		}
		return err
	})
	s.host.Run(s.w.binary, "wait", "--timeout", patience.String())
}

// finish checks that nothing is left of what the test did, ends sluice as
// Kubernetes would, and looks at what it said.
func (s *sidecar) finish() {
	if s.gone {
		s.w.eventually(s.untracked)
		s.checkLog()
		return
	}
	s.waitIdle()
	if code := s.process.Stop(); code != 0 {
		s.w.Errorf("sluice ended with status %d after SIGTERM", code)
	}
	s.checkLog()
	if s.w.Failed() {
		text, err := os.ReadFile(s.accessLog)
		s.w.Logf("access log (%v):\n%s", err, tail(string(text)))
	}
}

func tail(text string) string {
	const most = 4 << 10
	return text[max(0, len(text)-most):]
}

// checkLog fails the test for what must never stand in the log.
func (s *sidecar) checkLog() {
	s.w.Helper()
	for _, bad := range []string{"panic", "DATA RACE", "fatal error", "goroutine "} {
		if strings.Contains(s.process.Log(), bad) {
			s.w.Errorf("the log speaks of %q:\n%s", bad, s.process.Log())
		}
	}
}

// in is the sidecar for a subtest: what fails there fails it.
func (s *sidecar) in(t *testing.T) *sidecar {
	sub := *s
	sub.w = s.w.at(t)
	return &sub
}

// signal sends sluice a signal.
func (s *sidecar) signal(sig syscall.Signal) {
	s.w.Helper()
	s.process.Signal(sig)
}

// waitEnd waits for the end that the test has brought about.
func (s *sidecar) waitEnd() (status int) {
	s.w.Helper()
	s.gone = true
	return s.process.Wait(patience)
}
