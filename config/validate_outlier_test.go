package config

import (
	"testing"
	"time"
)

type outlierCase struct {
	name  string
	spoil func(*OutlierDetection)
	want  string // key: message; empty for nothing wrong
}

func TestValidateOutlierDetection(t *testing.T) {
	for _, tc := range []outlierCase{
		{"defaults", func(*OutlierDetection) {}, ""},
		{"all percentages at their most", func(o *OutlierDetection) {
			o.MaxEjectionPercent, o.FailurePercentageThreshold, o.EnforcingFailurePercentageLocalOrigin = 100, 100, 100
		}, ""},
		{"everything off", func(o *OutlierDetection) {
			o.ConsecutiveLocalOriginFailure, o.ConsecutiveEarlyClose, o.MaxEjectionPercent = 0, 0, 0
			o.EnforcingLocalOriginSuccessRate, o.SuccessRateMinimumHosts, o.SuccessRateStdevFactor = 0, 0, 0
		}, ""},
		{"base as long as the most", func(o *OutlierDetection) { o.BaseEjectionTime = o.MaxEjectionTime }, ""},

		{"no interval", func(o *OutlierDetection) { o.Interval = 0 }, "interval: must be at least 1ms, not 0s"},
		{"interval in another unit", func(o *OutlierDetection) { o.Interval = 10 }, "interval: must be at least 1ms, not 10ns"},
		{"no base", func(o *OutlierDetection) { o.BaseEjectionTime = 0 }, "base_ejection_time: must be more than 0s, not 0s"},
		{"no most", func(o *OutlierDetection) { o.MaxEjectionTime = 0 }, "max_ejection_time: must be more than 0s and at most 8760h0m0s, not 0s"},
		{"most of years", func(o *OutlierDetection) { o.MaxEjectionTime = 8761 * time.Hour }, "max_ejection_time: must be more than 0s and at most 8760h0m0s, not 8761h0m0s"},
		{"base beyond the most", func(o *OutlierDetection) { o.BaseEjectionTime = 301 * time.Second }, "max_ejection_time: must be at least base_ejection_time (5m1s), not 5m0s"},
		{"negative jitter", func(o *OutlierDetection) { o.MaxEjectionTimeJitter = -1 }, "max_ejection_time_jitter: must be from 0s (none) to 720h0m0s, not -1ns"},
		{"jitter of months", func(o *OutlierDetection) { o.MaxEjectionTimeJitter = 721 * time.Hour }, "max_ejection_time_jitter: must be from 0s (none) to 720h0m0s, not 721h0m0s"},
		{"most of all", func(o *OutlierDetection) { o.MaxEjectionPercent = 101 }, "max_ejection_percent: must be from 0 to 100 (percent), not 101"},
		{"enforcing failures", func(o *OutlierDetection) { o.EnforcingConsecutiveLocalOriginFailure = 101 }, "enforcing_consecutive_local_origin_failure: must be from 0 to 100 (percent), not 101"},
		{"enforcing success rate", func(o *OutlierDetection) { o.EnforcingLocalOriginSuccessRate = 200 }, "enforcing_local_origin_success_rate: must be from 0 to 100 (percent), not 200"},
		{"threshold", func(o *OutlierDetection) { o.FailurePercentageThreshold = 101 }, "failure_percentage_threshold: must be from 0 to 100 (percent), not 101"},
		{"enforcing failure percentage", func(o *OutlierDetection) { o.EnforcingFailurePercentageLocalOrigin = 101 }, "enforcing_failure_percentage_local_origin: must be from 0 to 100 (percent), not 101"},
		{"no window", func(o *OutlierDetection) { o.EarlyCloseWindow = 0 }, "early_close_window: must be more than 0s, not 0s"},
		{"negative timeout", func(o *OutlierDetection) { o.FirstByteTimeout = -time.Second }, "first_byte_timeout: must be more than 0s, not -1s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := valid()
			o := DefaultOutlierDetection()
			tc.spoil(&o)
			cfg.Clusters[0].OutlierDetection = &o
			got := ""
			for _, p := range Validate(cfg) {
				got += p.Path + ": " + p.Message
			}
			want := tc.want
			if want != "" {
				want = "clusters[0].outlier_detection." + want
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
