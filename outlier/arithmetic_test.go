package outlier

import (
	"testing"
	"time"
)

func TestEjectionTimeGrowsToTheMaximum(t *testing.T) {
	s := forTCP()
	s.BaseEjectionTime, s.MaxEjectionTime = 30*time.Second, 100*time.Second
	s.Interval = time.Hour // nothing is forgiven
	s.MaxEjectionTimeJitter = 5 * time.Second
	var asked []uint32
	r := newRig(t, s, 1, func(n uint32) uint32 {
		asked = append(asked, n)
		return n - 1 // the most
	})
	for i, want := range []time.Duration{30, 60, 90, 100, 100, 100} {
		r.report(0, LocalConnectFailed, 5)
		status, _ := r.d.Status(0)
		if got := status.Until.Sub(r.now); got != want*time.Second+5*time.Second {
			t.Fatalf("ejection %d lasts %v, want %v and 5s jitter", i+1, got, want*time.Second)
		}
		r.sweep(status.Until.Sub(r.now) - time.Millisecond)
		r.want(0)
		r.sweep(time.Millisecond)
		r.want()
	}
	for _, n := range asked {
		if n != 5001 {
			t.Errorf("jitter of %d milliseconds asked for, want from 0 to 5000", n-1)
		}
	}
	// The multiplier stops at 5, the first that is 100 s and over by one more:
	// four quiet intervals are needed to come down to 1.
	for range 4 {
		r.sweep(time.Hour)
	}
	r.report(0, LocalConnectFailed, 5)
	if status, _ := r.d.Status(0); status.Until.Sub(r.now) != 65*time.Second {
		t.Errorf("after quiet intervals the ejection lasts %v, want 1m5s", status.Until.Sub(r.now))
	}
}

type enforcingCase struct {
	name    string
	percent uint32
	dice    uint32
	enforce bool
	asked   bool
}

func TestEnforcing(t *testing.T) {
	for _, tc := range []enforcingCase{
		{"never", 0, 0, false, false},
		{"always", 100, 99, true, false},
		{"below", 30, 29, true, true},
		{"not below", 30, 30, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := forTCP()
			s.EnforcingConsecutiveLocalOriginFailure = tc.percent
			asked := false
			r := newRig(t, s, 1, func(n uint32) uint32 {
				asked = asked || n == 100
				return min(tc.dice, n-1)
			})
			r.report(0, LocalTimeout, 5)
			c := r.d.Counts()
			why := ConsecutiveLocalOriginFailure
			if c.Detected[why] != 1 || (c.Enforced[why] == 1) != tc.enforce || (len(r.ejected()) == 1) != tc.enforce {
				t.Errorf("ejected %v, counts %+v", r.ejected(), c)
			}
			if asked != tc.asked {
				t.Errorf("a number was drawn: %v", asked)
			}
			if len(r.told) != 1 || r.told[0].Enforced != tc.enforce || r.told[0].Action != Eject {
				t.Errorf("told %+v", r.told)
			}
			r.report(0, LocalTimeout, 4)
			if got := r.d.Counts().Detected[why]; got != 1 {
				t.Errorf("%d detections: the run does not begin anew", got)
			}
			again := uint64(2)
			if tc.enforce {
				again = 1 // it is away
			}
			r.report(0, LocalTimeout, 1)
			if got := r.d.Counts().Detected[why]; got != again {
				t.Errorf("%d detections after a second run, want %d", got, again)
			}
		})
	}
}

type runCase struct {
	name    string
	results []Result // one after the other until ejected
	ejected bool
	why     Reason
}

func TestRunsOfOurOwn(t *testing.T) {
	s := forTCP()
	s.ConsecutiveEarlyClose, s.ConsecutiveFirstByteTimeout = 2, 3
	const made, early, silent, first, failed = LocalConnectSuccess, EarlyClose, FirstByteTimeout, FirstByte, LocalConnectFailed
	for _, tc := range []runCase{
		{"early closes", []Result{made, early, made, early}, true, ConsecutiveEarlyClose},
		{"a byte between", []Result{made, early, made, first, made, early}, false, None},
		{"silences", []Result{made, silent, made, silent, made, silent}, true, ConsecutiveFirstByteTimeout},
		{"a late byte", []Result{silent, silent, first, silent}, false, None},
		{"of both kinds", []Result{early, silent, silent}, false, None},
		{"both, one in time", []Result{early, silent, early}, true, ConsecutiveEarlyClose},
		{"a byte is no connection", []Result{failed, failed, failed, failed, first, failed}, true, ConsecutiveLocalOriginFailure},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, s, 1, nil)
			for _, result := range tc.results {
				r.report(0, result, 1)
			}
			status, _ := r.d.Status(0)
			if status.Ejected != tc.ejected || status.Reason != tc.why {
				t.Errorf("got %+v", status)
			}
		})
	}
}

func TestOffIsOff(t *testing.T) {
	r := newRig(t, Settings{MaxEjectionPercent: 100, SplitExternalLocalOriginErrors: true}, 1, nil)
	for _, result := range []Result{LocalConnectFailed, LocalTimeout, EarlyClose, FirstByteTimeout, ExternalFailure} {
		r.report(0, result, 100)
	}
	r.want()
}

func TestCrossedOnce(t *testing.T) {
	r := newRig(t, forTCP(), 1, nil)
	for i := range 20 {
		if crossed := r.monitors[0].Report(LocalConnectFailed); crossed != (i == 4) {
			t.Errorf("failure %d: crossed is %v", i+1, crossed)
		}
	}
	r.d.Settle(r.now)
	r.want(0)
}

// Gateway failures are 5xx too, but not the reverse, and both are answers: a
// connection that is made ends no run of theirs.
func TestAnswers(t *testing.T) {
	s := envoyDefaults()
	s.MaxEjectionPercent, s.EnforcingConsecutiveGatewayFailure = 100, 100
	s.ConsecutiveGatewayFailure = 3
	const good, bad, gateway = ExternalSuccess, ExternalFailure, ExternalGatewayFailure
	for _, tc := range []runCase{
		{"gateway failures", []Result{gateway, gateway, gateway}, true, ConsecutiveGatewayFailure},
		{"another failure between", []Result{gateway, gateway, bad, gateway}, false, None},
		{"all are 5xx", []Result{gateway, bad, gateway, bad, gateway}, true, Consecutive5xx},
		{"a good one between", []Result{gateway, gateway, good, gateway, bad, bad, bad}, false, None},
		{"connecting", []Result{LocalConnectFailed, LocalConnectSuccess, LocalTimeout, LocalConnectFailed}, true, ConsecutiveGatewayFailure},
		{"connecting, in the end", []Result{LocalConnectFailed, LocalConnectSuccessFinal, LocalTimeout, LocalConnectFailed}, false, None},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, s, 1, nil)
			for _, result := range tc.results {
				r.report(0, result, 1)
			}
			status, _ := r.d.Status(0)
			if status.Ejected != tc.ejected || status.Reason != tc.why {
				t.Errorf("got %+v", status)
			}
		})
	}
}

func TestAlwaysEjectOneHost(t *testing.T) {
	s := forTCP()
	s.MaxEjectionPercent, s.AlwaysEjectOneHost = 0, true
	r := newRig(t, s, 2, nil)
	r.report(1, LocalConnectFailed, 5)
	r.report(0, LocalConnectFailed, 5)
	r.want(1)
	if got := r.d.Counts().Overflow; got != 1 {
		t.Errorf("%d overflows, want 1", got)
	}
}

func TestFailuresWhileEjectedDoNotCount(t *testing.T) {
	r := newRig(t, forTCP(), 1, nil)
	r.report(0, LocalConnectFailed, 5)
	r.report(0, LocalConnectFailed, 7) // connections made before, or in panic
	r.sweep(30 * time.Second)
	r.want()
	r.report(0, LocalConnectFailed, 4)
	r.want()
	r.report(0, LocalConnectFailed, 1)
	r.want(0)
}

// A crossing that nobody has settled when the endpoint comes back is one of
// the time when it was away.
func TestCrossingBeforeComingBack(t *testing.T) {
	s := forTCP()
	s.ConsecutiveEarlyClose = 1
	r := newRig(t, s, 1, nil)
	r.report(0, LocalConnectFailed, 5)
	if !r.monitors[0].Report(EarlyClose) {
		t.Fatal("not crossed")
	}
	r.sweep(30 * time.Second)
	r.want()
	r.d.Settle(r.now)
	r.want()
}

func TestRemove(t *testing.T) {
	r := newRig(t, forTCP(), 3, nil)
	r.report(0, LocalConnectFailed, 5)
	r.report(2, LocalConnectFailed, 4)
	r.d.Remove(0)
	r.d.Remove(0)
	r.d.Remove(1)
	r.report(0, LocalConnectFailed, 10) // old connections
	r.report(1, LocalConnectFailed, 10)
	c := r.d.Counts()
	if c.Active != 0 || c.EnforcedTotal != 1 || len(r.told) != 1 {
		t.Errorf("counts %+v, told %+v", c, r.told)
	}
	if _, ok := r.d.Status(0); ok {
		t.Error("a removed endpoint has a status")
	}
	if fresh := r.d.Add(0); fresh == r.monitors[0] || r.d.Add(0) != fresh {
		t.Error("Add gives an old monitor, or another one each time")
	}
	r.report(2, LocalConnectFailed, 1)
	r.want(2)
}

func TestNext(t *testing.T) {
	r := newRig(t, forTCP(), 1, nil)
	if got := r.d.Next(r.now).Sub(r.now); got != 10*time.Second {
		t.Errorf("first sweep in %v", got)
	}
	if got := r.d.Next(r.now.Add(time.Second)).Sub(r.now); got != 10*time.Second {
		t.Errorf("asked a second later, first sweep in %v", got)
	}
	r.sweep(12 * time.Second)
	if got := r.d.Next(r.now).Sub(r.now); got != 10*time.Second {
		t.Errorf("second sweep in %v", got)
	}
}

func TestHealthCheckResult(t *testing.T) {
	s := forTCP()
	for _, back := range []bool{true, false} {
		s.SuccessfulActiveHealthCheckUnejectHost = back
		r := newRig(t, s, 1, nil)
		r.report(0, LocalConnectFailed, 5)
		r.d.HealthCheckResult(0, false, r.now)
		r.want(0)
		r.d.HealthCheckResult(7, true, r.now)
		r.d.HealthCheckResult(0, true, r.now)
		if got := len(r.ejected()) == 0; got != back {
			t.Errorf("back after a health check: %v, want %v", got, back)
		}
	}
}

// Durations that nobody means must not wrap around.
func TestHugeDurations(t *testing.T) {
	s := forTCP()
	s.BaseEjectionTime, s.MaxEjectionTime, s.MaxEjectionTimeJitter = 1<<63-1, 1<<63-1, 1<<63-1
	r := newRig(t, s, 1, nil)
	for range 3 {
		r.report(0, LocalConnectFailed, 5)
		r.sweep(365 * 24 * time.Hour)
		r.want(0)
		r.d.HealthCheckResult(0, true, r.now)
		r.want()
	}
}
