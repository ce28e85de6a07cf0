package test

import (
	"testing"
	"time"
)

// TestStartToReady tells how long a start takes with the configuration that is
// built in: from exec to the first 200 of the readiness port, and what the
// daemon says itself. The times are for reading (BenchmarkStart has more of
// them); only a machine that does nothing else could be judged by them.
func TestStartToReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		began := time.Now()
		s := &sidecar{w: w, host: w.pod, gone: true}
		s.process = w.pod.As(sidecarID, sidecarID).Start(w.binary, "run")
		for ready := false; !ready; {
			ready, _ = s.ready()
			if s.process.Exited() || time.Since(began) > patience {
				t.Fatalf("not ready after %v:\n%s", time.Since(began), s.process.Log())
			}
		}
		took := time.Since(began)
		s.process.WaitLog(`"msg":"ready"`)
		_, own := readyLine(t, s.process.Log())
		t.Logf("ready %v after exec; by its own account after %v", took.Round(time.Millisecond), own)
		s.process.Kill() // a drain would take drain.min_time
		s.checkLog()
	}
}

// TestLimitsAreSaid has a start tell what it got of descriptors: the hard limit,
// whatever the soft one was. The Go runtime stays one below it, to know its own
// work again in a child (golang/go#66797).
func TestLimitsAreSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := asSidecar(redirect)
	l.before = []string{"prlimit", "--nofile=64:4096"}
	l.env = []string{"GOMEMLIMIT=100MiB"}
	s := startSidecar(w, sidecarText(settings{mode: redirect}), l)
	wantText(t, s.process.Log(), `"descriptors":409`, "not enough descriptors for limits.max_connections", `"GOMEMLIMIT":"100MiB"`)
}
