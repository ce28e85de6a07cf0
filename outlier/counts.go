package outlier

// Counts are a cluster's counters since the detector was made, and the gauge
// Active. Detected counts what was found, Enforced what was ejected for it;
// both are indexed by Reason.
type Counts struct {
	Active        uint64 // ejected at present
	EnforcedTotal uint64
	Overflow      uint64 // not ejected because of max_ejection_percent
	Total         uint64 // Envoy's deprecated ejections_total: 5xx and success rate, enforced or not
	Detected      [reasons]uint64
	Enforced      [reasons]uint64
}

// Counts returns the counters.
func (d *Detector) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

// Each calls f with Envoy's name of each counter, without the prefix
// outlier_detection_, and its value; ejections_active, the first, is a gauge.
// The deprecated ejections_consecutive_5xx and ejections_success_rate count
// detections, as in Envoy.
func (c *Counts) Each(f func(name string, value uint64)) {
	f("ejections_active", c.Active)
	f("ejections_enforced_total", c.EnforcedTotal)
	f("ejections_overflow", c.Overflow)
	for _, r := range Reasons() {
		_, name := r.names()
		f("ejections_detected_"+name, c.Detected[r])
		f("ejections_enforced_"+name, c.Enforced[r])
	}
	f("ejections_total", c.Total)
	f("ejections_consecutive_5xx", c.Detected[Consecutive5xx])
	f("ejections_success_rate", c.Detected[SuccessRate]+c.Detected[SuccessRateLocalOrigin])
}
