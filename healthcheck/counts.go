package healthcheck

import "sync/atomic"

// Counts are Envoy's health_check.* statistics of a group, and two of ours.
type Counts struct {
	Attempt        uint64
	Success        uint64
	Failure        uint64 // all kinds together
	PassiveFailure uint64
	NetworkFailure uint64 // Network and Timeout
	Skipped        uint64 // not made, or void, through a fault of this host
	Late           uint64 // began more than a tenth of the interval late
	Healthy        uint64 // endpoints that are Healthy or Degraded at the time
}

// counters are Counts that the checker's thread writes and others read.
type counters struct {
	attempt, success, failure      atomic.Uint64
	passiveFailure, networkFailure atomic.Uint64
	skipped, late                  atomic.Uint64
	healthy                        atomic.Int64
}

func (c *counters) read() Counts {
	return Counts{
		Attempt:        c.attempt.Load(),
		Success:        c.success.Load(),
		Failure:        c.failure.Load(),
		PassiveFailure: c.passiveFailure.Load(),
		NetworkFailure: c.networkFailure.Load(),
		Skipped:        c.skipped.Load(),
		Late:           c.late.Load(),
		Healthy:        uint64(max(0, c.healthy.Load())),
	}
}

func (c *counters) failed(f Failure) {
	c.failure.Add(1)
	switch f {
	case Passive:
		c.passiveFailure.Add(1)
	case Network, Timeout:
		c.networkFailure.Add(1)
	}
}
