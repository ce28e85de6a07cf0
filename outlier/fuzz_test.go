package outlier

import (
	"testing"
	"time"
)

// FuzzDetector runs any sequence of operations and checks after each what must
// always hold.
func FuzzDetector(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Add([]byte("\x64\x03\x00\x02some text that is long enough for a few ejections and sweeps"))
	f.Add([]byte{10, 1, 3, 5, 1, 1, 1, 1, 1, 40, 41, 42, 1, 1, 9, 60, 61, 62, 63, 250, 251, 252})
	long := make([]byte, 400)
	for i := range long {
		long[i] = byte(i * i >> 3)
	}
	f.Add(long)
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) < 4 {
			return
		}
		newWalk(t, ops[:4]).run(ops[4:])
	})
}

// walk is a detector with the state that its owner would keep.
type walk struct {
	t        *testing.T
	d        *Detector
	s        Settings
	now      time.Time
	dice     uint32
	monitors map[int32]*Monitor
	away     map[int32]bool // as Changed told
	removed  uint64         // ejections that ended by Remove
	returned uint64
}

// newWalk makes settings of four bytes: everything small, so that all of it
// happens.
func newWalk(t *testing.T, b []byte) *walk {
	s := envoyDefaults()
	s.MaxEjectionPercent = uint32(b[0]) % 110
	s.AlwaysEjectOneHost = b[1]&1 != 0
	s.SplitExternalLocalOriginErrors = b[1]&2 != 0
	s.EnforcingConsecutive5xx = uint32(b[1]>>2) * 2
	s.EnforcingFailurePercentage, s.EnforcingFailurePercentageLocalOrigin = 100, 100
	s.ConsecutiveLocalOriginFailure, s.ConsecutiveEarlyClose, s.ConsecutiveFirstByteTimeout = 2, 2, 1
	s.Consecutive5xx, s.ConsecutiveGatewayFailure, s.EnforcingConsecutiveGatewayFailure = 3, 2, 50
	s.SuccessRateMinimumHosts, s.FailurePercentageMinimumHosts = uint32(b[2])%4, uint32(b[2]>>2)%4
	s.SuccessRateRequestVolume, s.FailurePercentageRequestVolume = 2, 1
	s.MaxEjectionTimeJitter = time.Duration(b[3]) * time.Millisecond
	s.MaxEjectionTime = s.BaseEjectionTime * 4

	w := &walk{t: t, s: s, now: virtual(0), monitors: make(map[int32]*Monitor), away: make(map[int32]bool)}
	w.d = New(s, Options{
		Random: func(n uint32) uint32 { w.dice = w.dice*1664525 + 1013904223; return w.dice >> 8 % n },
		Changed: func(id int32, ejected bool, why Reason) {
			if w.away[id] == ejected || why == None {
				t.Fatalf("told that ejected is %v for %d, which it is, or for no reason (%v)", ejected, id, why)
			}
			w.away[id] = ejected
			if !ejected {
				w.returned++
			}
		},
	})
	return w
}

func (w *walk) run(ops []byte) {
	for _, op := range ops {
		before, hosts := w.d.Counts().Active, len(w.monitors)
		id := int32(op>>4) % 8
		switch op & 15 {
		case 10:
			w.monitors[id] = w.d.Add(id)
		case 11:
			w.remove(id)
			hosts, before = len(w.monitors), w.d.Counts().Active
		case 12:
			w.d.HealthCheckResult(id, op>>7 == 0, w.now)
		case 13:
			w.d.Settle(w.now)
		case 14:
			w.now = w.now.Add(w.s.Interval * time.Duration(op>>5))
			w.d.Sweep(w.now)
		case 15:
			w.now = w.now.Add(time.Millisecond << (op >> 4))
		default:
			if m := w.monitors[id]; m != nil {
				m.Report([]Result{
					LocalConnectSuccess, LocalConnectFailed, LocalTimeout, EarlyClose, FirstByteTimeout,
					FirstByte, ExternalSuccess, ExternalFailure, ExternalGatewayFailure, LocalConnectSuccessFinal,
				}[op&15])
			}
		}
		w.check(before, hosts)
	}
	w.endsWell()
}

func (w *walk) remove(id int32) {
	if w.away[id] {
		w.removed++
	}
	w.d.Remove(id)
	delete(w.away, id)
	delete(w.monitors, id)
}

// check holds the counts against what was told. Only ejecting is bound by
// max_ejection_percent: Remove may leave a larger share ejected.
func (w *walk) check(before uint64, hosts int) {
	c := w.d.Counts()
	most := uint64(allowed(w.s.MaxEjectionPercent, hosts))
	if w.s.AlwaysEjectOneHost {
		most = max(most, 1)
	}
	if c.Active > max(before, most) {
		w.t.Fatalf("%d of %d are ejected, %d before; at most %d may be", c.Active, hosts, before, most)
	}
	away, enforced := uint64(0), uint64(0)
	for id := range w.monitors {
		status, ok := w.d.Status(id)
		if !ok || status.Ejected != w.away[id] || status.Ejected == status.Until.IsZero() {
			w.t.Fatalf("endpoint %d: status %+v, told %v", id, status, w.away[id])
		}
		if status.Ejected {
			away++
		}
	}
	for _, r := range Reasons() {
		enforced += c.Enforced[r]
		if c.Enforced[r] > c.Detected[r] {
			w.t.Fatalf("%v: %d enforced, %d detected", r, c.Enforced[r], c.Detected[r])
		}
	}
	if c.Active != away || c.EnforcedTotal != enforced || c.EnforcedTotal != c.Active+w.returned+w.removed {
		w.t.Fatalf("%d away, %d returned, %d removed; counts %+v", away, w.returned, w.removed, c)
	}
}

// endsWell lets time pass without results: the longest ejection and one
// interval later all endpoints are back, and after as many intervals as a
// multiplier can be high all is forgiven.
func (w *walk) endsWell() {
	w.d.Sweep(w.now) // judges what is left of results
	w.d.Sweep(w.now)
	longest := w.s.MaxEjectionTime + w.s.MaxEjectionTimeJitter
	for waited := time.Duration(0); waited < longest+w.s.Interval; waited += w.s.Interval {
		w.now = w.now.Add(w.s.Interval)
		w.d.Sweep(w.now)
	}
	if c := w.d.Counts(); c.Active != 0 {
		w.t.Fatalf("%d still ejected after %v", c.Active, longest+w.s.Interval)
	}
	for range 6 {
		w.now = w.now.Add(w.s.Interval)
		w.d.Sweep(w.now)
	}
	for id, m := range w.monitors {
		if m.backoff != 0 {
			w.t.Fatalf("endpoint %d: the multiplier is still %d", id, m.backoff)
		}
	}
}
