package outlier

import (
	"sync/atomic"
	"time"
)

// Monitor takes the results of one endpoint.
type Monitor struct {
	rules *rules
	owner *Detector

	// Any thread.
	runs     [runKinds]atomic.Uint32 // results in a row
	crossed  atomic.Uint32           // bit k: run k has reached its threshold; not 0: in owner's list
	local    tally
	external tally
	next     *Monitor // in owner's list, by whoever made crossed not 0

	// Under owner's lock.
	id            int32
	at            int32 // index in owner.monitors; -1: removed
	ejected       bool
	why           Reason
	timesEjected  uint32
	backoff       uint32 // times the base time that the latest ejection lasts
	jitter        time.Duration
	lastEjection  time.Time
	lastUnejected time.Time
	rates         [origins]rate
}

// rules is the part of the settings that Report needs.
type rules struct {
	split      bool
	thresholds [runKinds]uint32
}

// run is a kind of consecutive result.
type run uint8

// In the order in which Envoy's workers report them.
const (
	runGateway run = iota
	run5xx
	runLocalOrigin
	runEarlyClose
	runFirstByteTimeout
	runKinds
)

func (k run) reason() Reason {
	return [runKinds]Reason{
		ConsecutiveGatewayFailure, Consecutive5xx, ConsecutiveLocalOriginFailure,
		ConsecutiveEarlyClose, ConsecutiveFirstByteTimeout,
	}[k]
}

func rulesOf(s *Settings) *rules {
	r := &rules{split: s.SplitExternalLocalOriginErrors}
	r.thresholds[runGateway] = s.ConsecutiveGatewayFailure
	r.thresholds[run5xx] = s.Consecutive5xx
	r.thresholds[runLocalOrigin] = s.ConsecutiveLocalOriginFailure
	r.thresholds[runEarlyClose] = s.ConsecutiveEarlyClose
	r.thresholds[runFirstByteTimeout] = s.ConsecutiveFirstByteTimeout
	return r
}

// tally counts results since the latest sweep.
type tally struct {
	successes atomic.Uint64
	failures  atomic.Uint64
}

// rate is what a tally came to at the latest sweep.
type rate struct {
	percent float64 // of successes
	volume  uint64
	shown   bool // enough for a rate that means something
}

// rotate starts the next interval and returns what the last one came to.
func (t *tally) rotate() rate {
	good, bad := t.successes.Swap(0), t.failures.Swap(0)
	if good+bad == 0 {
		return rate{}
	}
	return rate{percent: float64(good) * 100 / float64(good+bad), volume: good + bad}
}

// extend makes a run longer by one; it has crossed at the threshold and not
// beyond, so that one run is told once.
func (m *Monitor) extend(k run) (crossed bool) {
	threshold := m.rules.thresholds[k]
	if threshold == 0 || m.runs[k].Add(1) != threshold {
		return false
	}
	if m.crossed.Or(1<<k) == 0 {
		m.owner.push(m)
	}
	return true
}

// end ends a run. It looks first: writing takes the cache line from the other
// loops, and runs are 0 most of the time.
func (m *Monitor) end(k run) {
	if m.runs[k].Load() != 0 {
		m.runs[k].Store(0)
	}
}

// push adds a monitor to those that Settle looks at. A monitor is in the list
// once, as only the thread that made its crossed bits not 0 pushes it, and
// Settle takes the whole list at once, so that no entry can be mistaken for an
// earlier one at the same address.
func (d *Detector) push(m *Monitor) {
	for {
		head := d.crossed.Load()
		m.next = head
		if d.crossed.CompareAndSwap(head, m) {
			return
		}
	}
}

// take empties the list and returns it, oldest first.
func (d *Detector) take() *Monitor {
	var oldest *Monitor
	for m := d.crossed.Swap(nil); m != nil; {
		following := m.next
		m.next = oldest
		oldest, m = m, following
	}
	return oldest
}
