package outlier

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// forTCP is the default configuration of a cluster, with every endpoint
// allowed to be ejected.
func forTCP() Settings {
	defaults := config.DefaultOutlierDetection()
	s := SettingsOf(&defaults)
	s.MaxEjectionPercent = 100
	return s
}

// rig is a detector with endpoints 0 to n-1 that notes what it is told.
type rig struct {
	t        *testing.T
	d        *Detector
	monitors []*Monitor
	now      time.Time
	told     []Event
}

func newRig(t *testing.T, s Settings, n int, random func(uint32) uint32) *rig {
	r := &rig{t: t, now: virtual(0)}
	r.d = New(s, Options{Random: random, Event: func(e Event) { r.told = append(r.told, e) }})
	for i := range n {
		r.monitors = append(r.monitors, r.d.Add(int32(i)))
	}
	return r
}

// report reports a result count times and settles when it is asked to.
func (r *rig) report(id int, result Result, count int) {
	for range count {
		if r.monitors[id].Report(result) {
			r.d.Settle(r.now)
		}
	}
}

// sweep sweeps after d.
func (r *rig) sweep(d time.Duration) {
	r.now = r.now.Add(d)
	r.d.Sweep(r.now)
}

func (r *rig) ejected() []int {
	list := []int{}
	for id := range r.monitors {
		if status, ok := r.d.Status(int32(id)); ok && status.Ejected {
			list = append(list, id)
		}
	}
	return list
}

func (r *rig) want(ejected ...int) {
	r.t.Helper()
	if got := r.ejected(); !slices.Equal(got, append([]int{}, ejected...)) {
		r.t.Errorf("at %v: ejected %v, want %v", r.now.Sub(virtual(0)), got, ejected)
	}
}
