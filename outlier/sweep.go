package outlier

import (
	"math"
	"time"
)

// Origin says which results a success rate is of.
type Origin uint8

// LocalOrigin is connecting, ExternalOrigin is answers; see
// Settings.SplitExternalLocalOriginErrors.
const (
	LocalOrigin Origin = iota
	ExternalOrigin
	origins
)

// NoRate stands for a success rate of which nothing is known, as in Envoy's
// /clusters.
const NoRate = -1

// Average is what the endpoints of a cluster have in common, in percent; both
// NoRate unless enough endpoints had enough results at the latest sweep.
type Average struct {
	SuccessRate       float64
	EjectionThreshold float64 // endpoints with a lower success rate are ejected
}

func noAverage() Average { return Average{NoRate, NoRate} }

// origin is that of a reason of the periodic check.
func (r Reason) origin() (o Origin, ok bool) {
	switch r {
	case SuccessRate, FailurePercentage:
		return ExternalOrigin, true
	case SuccessRateLocalOrigin, FailurePercentageLocalOrigin:
		return LocalOrigin, true
	default:
		return 0, false
	}
}

func (r rate) value() float64 {
	if !r.shown {
		return NoRate
	}
	return r.percent
}

// Sweep is the periodic check, Envoy's onIntervalTimer: endpoints whose time is
// over come back, those with success rates far below the others' or too many
// failures since the latest sweep are ejected, and those that have been back
// for an interval are forgiven a part. It settles first.
func (d *Detector) Sweep(now time.Time) {
	d.mu.Lock()
	d.settle(now)
	d.due = now.Add(d.settings.Interval)
	for _, m := range d.monitors {
		if m.ejected && now.Sub(m.lastEjection) >= d.ejectionTime(m) {
			d.uneject(m, now)
		}
		m.rates = [origins]rate{LocalOrigin: m.local.rotate(), ExternalOrigin: m.external.rotate()}
	}
	d.compare(ExternalOrigin, now)
	d.compare(LocalOrigin, now)
	for _, m := range d.monitors {
		d.forgive(m, now)
	}
	d.mu.Unlock()
	d.deliver()
}

// compare is Envoy's processSuccessRateEjections.
func (d *Detector) compare(o Origin, now time.Time) {
	s := &d.settings
	d.averages[o] = noAverage()
	hosts := uint64(len(d.monitors))
	if hosts < uint64(s.SuccessRateMinimumHosts) && hosts < uint64(s.FailurePercentageMinimumHosts) {
		return
	}
	d.collect(o)
	if n := len(d.volumed); n > 0 && uint64(n) >= uint64(s.SuccessRateMinimumHosts) {
		d.averages[o] = average(d.volumed, o, float64(s.SuccessRateStdevFactor)/1000)
		why := [origins]Reason{SuccessRateLocalOrigin, SuccessRate}[o]
		for _, m := range d.volumed {
			if m.rates[o].percent < d.averages[o].EjectionThreshold {
				d.detected(m, why, now)
			}
		}
	}
	if n := len(d.measured); n > 0 && uint64(n) >= uint64(s.FailurePercentageMinimumHosts) {
		why := [origins]Reason{FailurePercentageLocalOrigin, FailurePercentage}[o]
		for _, m := range d.measured {
			if 100-m.rates[o].percent >= float64(s.FailurePercentageThreshold) {
				d.detected(m, why, now)
			}
		}
	}
	clear(d.volumed) // or they would keep endpoints that are removed
	clear(d.measured)
}

// collect finds the endpoints that are not ejected and had the volume that
// success rates and failure percentages ask for. The lists are kept from sweep
// to sweep, as they are as long as the cluster.
func (d *Detector) collect(o Origin) {
	forRate, forPercentage := uint64(d.settings.SuccessRateRequestVolume), uint64(d.settings.FailurePercentageRequestVolume)
	d.volumed, d.measured = d.volumed[:0], d.measured[:0]
	for _, m := range d.monitors {
		r := &m.rates[o]
		if m.ejected || r.volume == 0 {
			continue
		}
		r.shown = r.volume >= min(forRate, forPercentage)
		if r.volume >= forRate {
			d.volumed = append(d.volumed, m)
		}
		if r.volume >= forPercentage {
			d.measured = append(d.measured, m)
		}
	}
}

// average is the mean of the success rates, and the mean less factor standard
// deviations (of the population): rates of 50, 100, 100, 100 and 100 have mean
// 90 and deviation 20, and with Envoy's factor of 1.9 the threshold 52.
func average(list []*Monitor, o Origin, factor float64) Average {
	sum := 0.0
	for _, m := range list {
		sum += m.rates[o].percent
	}
	mean := sum / float64(len(list))
	variance := 0.0
	for _, m := range list {
		variance += (m.rates[o].percent - mean) * (m.rates[o].percent - mean)
	}
	return Average{mean, mean - factor*math.Sqrt(variance/float64(len(list)))}
}
