package outlier

import (
	"testing"
	"time"
)

func TestSuccessRate(t *testing.T) {
	s := forTCP()
	s.ConsecutiveLocalOriginFailure = 0
	r := newRig(t, s, 6, nil)
	for id := range 4 {
		r.report(id, LocalConnectSuccess, 100)
	}
	r.report(4, LocalConnectSuccess, 50)
	r.report(4, LocalTimeout, 50)
	r.report(5, LocalConnectFailed, 99) // one short of the volume
	r.sweep(10 * time.Second)
	r.want(4)
	if got := r.d.Average(LocalOrigin); got != (Average{90, 52}) {
		t.Errorf("average %+v", got)
	}
	if got := r.d.Average(ExternalOrigin); got != noAverage() {
		t.Errorf("average of nothing: %+v", got)
	}
	if status, _ := r.d.Status(5); status.LocalSuccessRate != 0 || status.ExternalSuccessRate != NoRate {
		t.Errorf("rates of %+v", status)
	}
	if e := r.told[0]; e.Reason != SuccessRateLocalOrigin || e.SuccessRate != 50 || e.Average != (Average{90, 52}) {
		t.Errorf("told %+v", r.told)
	}

	// What came before the sweep counts no more.
	r.sweep(10 * time.Second)
	r.want(4)
	if got := r.d.Average(LocalOrigin); got != noAverage() {
		t.Errorf("average of an idle interval: %+v", got)
	}
	if status, _ := r.d.Status(4); status.LocalSuccessRate != NoRate {
		t.Errorf("rate of an idle interval: %v", status.LocalSuccessRate)
	}
}

// One sweep may find the same endpoint twice; it is ejected once.
func TestTwoDetectionsEjectOnce(t *testing.T) {
	s := forTCP()
	s.ConsecutiveLocalOriginFailure = 0
	s.EnforcingFailurePercentageLocalOrigin = 100
	r := newRig(t, s, 5, nil)
	for id := range 4 {
		r.report(id, LocalConnectSuccess, 100)
	}
	r.report(4, LocalConnectFailed, 100)
	r.sweep(10 * time.Second)
	r.want(4)
	c := r.d.Counts()
	if c.Active != 1 || c.EnforcedTotal != 1 || c.Enforced[SuccessRateLocalOrigin] != 1 ||
		c.Detected[SuccessRateLocalOrigin] != 1 || c.Detected[FailurePercentageLocalOrigin] != 1 {
		t.Errorf("counts %+v", c)
	}
	r.sweep(30 * time.Second)
	r.want()
	if c := r.d.Counts(); c.Active != 0 {
		t.Errorf("%d ejections active after all are back", c.Active)
	}
}

// Endpoints that all do equally badly are no outliers.
func TestEqualsAreNoOutliers(t *testing.T) {
	s := forTCP()
	s.ConsecutiveLocalOriginFailure = 0
	r := newRig(t, s, 5, nil)
	for id := range 5 {
		r.report(id, LocalConnectSuccess, 30)
		r.report(id, LocalTimeout, 70)
	}
	r.sweep(10 * time.Second)
	r.want()
	if got := r.d.Average(LocalOrigin); got != (Average{30, 30}) {
		t.Errorf("average %+v", got)
	}
}

// What an endpoint does that is away already is not compared.
func TestEjectedAreNotCompared(t *testing.T) {
	r := newRig(t, forTCP(), 6, nil)
	for id := range 5 {
		r.report(id, LocalConnectSuccess, 100)
	}
	r.report(5, LocalConnectFailed, 100)
	r.sweep(10 * time.Second)
	r.want(5)
	if got := r.d.Average(LocalOrigin); got != (Average{100, 100}) {
		t.Errorf("average %+v", got)
	}
	if status, _ := r.d.Status(5); status.LocalSuccessRate != NoRate {
		t.Errorf("status %+v", status)
	}
}

func TestSuccessRateOfAnswers(t *testing.T) {
	s := envoyDefaults()
	s.MaxEjectionPercent, s.Consecutive5xx, s.FailurePercentageMinimumHosts = 100, 0, 100
	r := newRig(t, s, 5, nil)
	for id := range 4 {
		r.report(id, ExternalSuccess, 100)
	}
	r.report(4, ExternalFailure, 100)
	r.sweep(10 * time.Second)
	r.want(4)
	c := r.d.Counts()
	if c.Total != 1 || c.Enforced[SuccessRate] != 1 || r.d.Average(ExternalOrigin).SuccessRate != 80 {
		t.Errorf("counts %+v, average %+v", c, r.d.Average(ExternalOrigin))
	}
}

func TestFailurePercentage(t *testing.T) {
	s := forTCP()
	s.ConsecutiveLocalOriginFailure, s.EnforcingLocalOriginSuccessRate = 0, 0
	s.EnforcingFailurePercentageLocalOrigin = 100
	r := newRig(t, s, 5, nil)
	for id := range 5 {
		r.report(id, LocalConnectFailed, 84+min(id, 1)) // of a hundred; the threshold is 85
		r.report(id, LocalConnectSuccess, 16-min(id, 1))
	}
	r.sweep(10 * time.Second)
	r.want(1, 2, 3, 4)
}
