package healthcheck

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

const (
	// firstWithin is how long the first checks of a group take at most to
	// begin, and firstGap how far they are apart where that is less: a new
	// daemon learns health quickly, and without a burst.
	firstWithin = time.Second
	firstGap    = time.Millisecond

	// Checks begin at multiples of a grain, so that the loop wakes up for many
	// at a time. It is small beside the interval.
	maxGrain      = 25 * time.Millisecond
	grainsInCycle = 200

	// retryAfter is when a check that this host could not make is tried again.
	retryAfter = time.Second
)

// interval is how long after the start of a check the next one starts, by
// whether it passed. Edge intervals lie between the results that lead to a
// change, before there are enough of them (HealthCheckerImplBase::interval).
func interval(c *config.HealthCheck, passed bool, step transition, traffic bool) time.Duration {
	if !traffic {
		return c.NoTrafficInterval
	}
	usual, edge := c.Interval, c.HealthyEdgeInterval
	if !passed {
		usual = orElse(c.UnhealthyInterval, c.Interval)
		edge = orElse(c.UnhealthyEdgeInterval, usual)
	}
	if step == pending {
		return orElse(edge, c.Interval)
	}
	return usual
}

func orElse(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// jitter is a random time from 0 to less than most.
func jitter(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return rand.N(most)
}

// firstDelay is when the i-th of n new checks begins.
func firstDelay(c *config.HealthCheck, i, n int) time.Duration {
	if c.InitialJitter > 0 {
		return jitter(c.InitialJitter)
	}
	gap := min(firstGap, min(firstWithin, c.Interval)/time.Duration(n))
	return time.Duration(i) * gap
}

// phase gives the i-th check its place in the cycle, in (0, 1]: multiples of the
// golden ratio are spread evenly however many there are of them.
func phase(i uint32) float32 {
	_, fraction := math.Modf(float64(i) * (math.Phi - 1))
	return float32(1 - fraction)
}

// onGrain moves a moment back to the grain of its cycle.
func onGrain(moment, cycle int64) int64 {
	grain := min(cycle/grainsInCycle, int64(maxGrain))
	if grain < int64(time.Millisecond) {
		return moment
	}
	return (moment + grain - 1) / grain * grain
}

// late says whether a check began more than a tenth of its cycle after it was
// due.
func late(due, began, cycle int64) bool { return began-due > cycle/10 }
