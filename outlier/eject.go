package outlier

import "time"

// detected counts a detection and ejects the endpoint if that is allowed and
// enforced: Envoy's ejectHost.
func (d *Detector) detected(m *Monitor, why Reason, now time.Time) {
	d.counts.Detected[why]++
	if m.ejected {
		return // by another detection of the same sweep
	}
	if !d.mayEject() {
		d.counts.Overflow++
		return
	}
	if why == Consecutive5xx || why == SuccessRate {
		d.counts.Total++
	}
	enforced := d.chance(d.settings.enforcing(why))
	if enforced {
		d.eject(m, why, now)
	}
	d.note(m, Event{Action: Eject, Reason: why, Enforced: enforced, Time: now, Last: m.lastUnejected})
}

// mayEject says whether one more may go: those that are away then may be at
// most max_ejection_percent of all.
func (d *Detector) mayEject() bool {
	if d.settings.AlwaysEjectOneHost && d.counts.Active == 0 {
		return true
	}
	return int(d.counts.Active)+1 <= allowed(d.settings.MaxEjectionPercent, len(d.monitors))
}

// chance is true in percent of a hundred cases.
func (d *Detector) chance(percent uint32) bool {
	if percent == 0 || percent >= 100 {
		return percent != 0
	}
	return d.options.Random(100) < percent
}

func (d *Detector) eject(m *Monitor, why Reason, now time.Time) {
	s := &d.settings
	m.ejected, m.why, m.lastEjection = true, why, now
	m.timesEjected++
	m.jitter = time.Duration(d.options.Random(uint32(s.MaxEjectionTimeJitter/time.Millisecond)+1)) * time.Millisecond
	if time.Duration(m.backoff)*s.BaseEjectionTime < s.MaxEjectionTime+s.BaseEjectionTime {
		m.backoff++
	}
	d.counts.Active++
	d.counts.EnforcedTotal++
	d.counts.Enforced[why]++
}

// ejectionTime is how long the latest ejection of an endpoint lasts; the first
// sweep after it lets it back.
func (d *Detector) ejectionTime(m *Monitor) time.Duration {
	return min(d.settings.BaseEjectionTime*time.Duration(m.backoff), d.settings.MaxEjectionTime) + m.jitter
}

// uneject lets an endpoint back. All runs begin anew, or one that had nearly
// reached its threshold would eject it again for a single failure.
func (d *Detector) uneject(m *Monitor, now time.Time) {
	m.ejected, m.lastUnejected = false, now
	for k := range runKinds {
		m.end(k)
	}
	d.counts.Active--
	d.note(m, Event{Action: Uneject, Reason: m.why, Enforced: true, Time: now, Last: m.lastEjection})
}

// forgive makes the next ejection of a healthy endpoint shorter by the base
// time, if it has been back for an interval.
func (d *Detector) forgive(m *Monitor, now time.Time) {
	if m.ejected || m.backoff == 0 || m.lastUnejected.IsZero() {
		return
	}
	if now.Sub(m.lastUnejected) >= d.settings.Interval {
		m.backoff--
	}
}

// note queues an event for deliver.
func (d *Detector) note(m *Monitor, e Event) {
	e.ID, e.Cluster, e.TimesEjected = m.id, d.options.Cluster, m.timesEjected
	e.SuccessRate = NoRate
	if origin, ok := e.Reason.origin(); ok && e.Action == Eject {
		e.SuccessRate = m.rates[origin].value()
		e.Average = d.averages[origin]
	}
	d.events = append(d.events, e)
}
