package config

import "time"

// Bounds of outlier detection. Sweeps more often than every millisecond, and
// ejections for years, are mistakes of units.
const (
	minOutlierInterval = time.Millisecond
	maxEjectionTime    = 365 * 24 * time.Hour
	maxEjectionJitter  = 30 * 24 * time.Hour
)

// outlier checks outlier detection; the rules are those of Envoy's
// cluster.v3.OutlierDetection.
func (v *validator) outlier(path string, o *OutlierDetection) {
	if o.Interval < minOutlierInterval {
		v.add(path+".interval", "must be at least %v, not %v", minOutlierInterval, o.Interval)
	}
	v.ejectionTimes(path, o)
	v.outlierPercentages(path, o)
	for _, w := range []outlierWindow{
		{"early_close_window", o.EarlyCloseWindow},
		{"first_byte_timeout", o.FirstByteTimeout},
	} {
		if w.length <= 0 {
			v.add(path+"."+w.key, "must be more than 0s, not %v", w.length)
		}
	}
}

// outlierWindow is a time in which something must happen.
type outlierWindow struct {
	key    string
	length time.Duration
}

func (v *validator) ejectionTimes(path string, o *OutlierDetection) {
	if o.BaseEjectionTime <= 0 {
		v.add(path+".base_ejection_time", "must be more than 0s, not %v", o.BaseEjectionTime)
	}
	switch longest := o.MaxEjectionTime; {
	case longest <= 0 || longest > maxEjectionTime:
		v.add(path+".max_ejection_time", "must be more than 0s and at most %v, not %v", maxEjectionTime, longest)
	case longest < o.BaseEjectionTime:
		v.add(path+".max_ejection_time", "must be at least base_ejection_time (%v), not %v", o.BaseEjectionTime, longest)
	}
	if jitter := o.MaxEjectionTimeJitter; jitter < 0 || jitter > maxEjectionJitter {
		v.add(path+".max_ejection_time_jitter", "must be from 0s (none) to %v, not %v", maxEjectionJitter, jitter)
	}
}

// outlierPercentage is one of the fields that count to a hundred.
type outlierPercentage struct {
	key   string
	value uint32
}

func (v *validator) outlierPercentages(path string, o *OutlierDetection) {
	for _, p := range []outlierPercentage{
		{"max_ejection_percent", o.MaxEjectionPercent},
		{"enforcing_consecutive_local_origin_failure", o.EnforcingConsecutiveLocalOriginFailure},
		{"enforcing_local_origin_success_rate", o.EnforcingLocalOriginSuccessRate},
		{"failure_percentage_threshold", o.FailurePercentageThreshold},
		{"enforcing_failure_percentage_local_origin", o.EnforcingFailurePercentageLocalOrigin},
	} {
		if p.value > 100 {
			v.add(path+"."+p.key, "must be from 0 to 100 (percent), not %d", p.value)
		}
	}
}
