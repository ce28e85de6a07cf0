package outlier

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Detector is the outlier detection of one cluster. Its methods may be called
// from any goroutine, but not from event loops: they take a lock, which Report
// does not.
type Detector struct {
	settings Settings
	options  Options
	rules    *rules
	crossed  atomic.Pointer[Monitor] // those with a run that has reached its threshold

	mu         sync.Mutex
	byID       map[int32]*Monitor
	monitors   []*Monitor
	counts     Counts
	averages   [origins]Average
	due        time.Time // the next sweep; zero: none yet
	volumed    []*Monitor
	measured   []*Monitor
	events     []Event // to be delivered
	delivering bool
}

// Options is what a Detector needs from its owner; each may be left out.
//
// Changed and Event are called by whichever of Settle, Sweep and
// HealthCheckResult made the change, or by another of these that is running
// at the same time; in the order of the changes, one at a time, and with no
// lock held, so that they may call the Detector. They are never called from
// Report. An endpoint that is removed at the same time may be told of once
// more: do not give its id to another.
type Options struct {
	// Random returns a number from 0 to n-1 (n > 0), for enforcing_* and
	// jitter.
	Random func(n uint32) uint32
	// Changed tells that an endpoint was ejected, or is back, in which case
	// why is the reason for which it had been away.
	Changed func(id int32, ejected bool, why Reason)
	// Event tells what Envoy's outlier event log does: Changed, and ejections
	// that enforcing_* left out.
	Event func(Event)
	// Cluster is the cluster's name in events, and Address an endpoint's.
	Cluster string
	Address func(id int32) string
}

// New makes a detector without endpoints.
func New(s Settings, o Options) *Detector {
	s = s.bounded()
	if o.Random == nil {
		o.Random = rand.Uint32N
	}
	d := &Detector{settings: s, options: o, rules: rulesOf(&s), byID: make(map[int32]*Monitor)}
	d.averages = [origins]Average{noAverage(), noAverage()}
	return d
}

// Add starts watching an endpoint and returns where its results are reported.
// An endpoint that is being watched keeps its monitor.
func (d *Detector) Add(id int32) *Monitor {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.byID[id]; m != nil {
		return m
	}
	m := &Monitor{rules: d.rules, owner: d, id: id, at: int32(len(d.monitors))}
	d.byID[id] = m
	d.monitors = append(d.monitors, m)
	return m
}

// Remove forgets an endpoint. If it is ejected it is not any more, and Changed
// is not called: there is nothing to let back. Its monitor may still be
// reported to.
func (d *Detector) Remove(id int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.byID[id]
	if m == nil {
		return
	}
	if m.ejected {
		d.counts.Active--
	}
	delete(d.byID, id)
	last := len(d.monitors) - 1
	d.monitors[m.at] = d.monitors[last]
	d.monitors[m.at].at = m.at
	d.monitors[last] = nil
	d.monitors = d.monitors[:last]
	m.at = -1
}

// Settle ejects endpoints with runs of failures that have reached their
// threshold, if max_ejection_percent and enforcing_* allow it. It costs nothing
// when there are none.
func (d *Detector) Settle(now time.Time) {
	if d.crossed.Load() == nil {
		return
	}
	d.mu.Lock()
	d.settle(now)
	d.mu.Unlock()
	d.deliver()
}

// settle is Envoy's onConsecutiveErrorWorker for all that wait.
func (d *Detector) settle(now time.Time) {
	for m := d.take(); m != nil; {
		following := m.next
		m.next = nil
		bits := m.crossed.Swap(0) // from here on a Report may push it again
		for k := range runKinds {
			// What comes in while an endpoint is away does not count: its
			// runs begin anew when it is back.
			if bits&(1<<k) == 0 || m.ejected || m.at < 0 {
				continue
			}
			d.detected(m, k.reason(), now)
			m.end(k)
		}
		m = following
	}
}

// Next tells when Sweep is due, for the first time an interval after Next was
// first called.
func (d *Detector) Next(now time.Time) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.due.IsZero() {
		d.due = now.Add(d.settings.Interval)
	}
	return d.due
}

// HealthCheckResult takes the result of an active health check: with
// successful_active_health_check_uneject_host a healthy endpoint comes back at
// once. Healthy means that the check passed and that the endpoint is not
// failing active health checks (it has passed healthy_threshold of them if it
// had been).
func (d *Detector) HealthCheckResult(id int32, healthy bool, now time.Time) {
	if !healthy || !d.settings.SuccessfulActiveHealthCheckUnejectHost {
		return
	}
	d.mu.Lock()
	d.settle(now)
	if m := d.byID[id]; m != nil && m.ejected {
		d.uneject(m, now)
	}
	d.mu.Unlock()
	d.deliver()
}

// deliver calls the owner for what has happened, without the lock. Only one
// goroutine delivers at a time, until nothing is left, so that what another one
// or a callback adds comes behind what was there before.
func (d *Detector) deliver() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.delivering {
		return
	}
	d.delivering = true
	for len(d.events) > 0 {
		batch := d.events
		d.events = nil
		d.mu.Unlock()
		for i := range batch {
			d.tell(&batch[i])
		}
		d.mu.Lock()
	}
	d.delivering = false
}

func (d *Detector) tell(e *Event) {
	if d.options.Changed != nil && e.Enforced {
		d.options.Changed(e.ID, e.Action == Eject, e.Reason)
	}
	if d.options.Event == nil {
		return
	}
	if d.options.Address != nil {
		e.Address = d.options.Address(e.ID)
	}
	d.options.Event(*e)
}
