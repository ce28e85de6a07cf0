package dns

import "sync/atomic"

// Counters count the lookups of a Watch. The first four are Envoy's
// update_attempt, update_success, update_failure and update_no_rebuild
// (cluster statistics); Empty is its update_empty, which also "continues with
// previous config".
type Counters struct {
	Attempts  uint64
	Success   uint64
	Failure   uint64 // the last good answer was kept
	NoRebuild uint64 // of Success: the addresses are the same as before
	Empty     uint64 // of Failure: NXDOMAIN, or a name without addresses
	Timeout   uint64 // of Failure: no server answered in time
	Partial   uint64 // of Success: one family could not be asked for
	Capped    uint64 // of Success: addresses beyond 5,000 were left out
}

// Add adds those of another watch, for the sums of a cluster.
func (c *Counters) Add(o Counters) {
	c.Attempts += o.Attempts
	c.Success += o.Success
	c.Failure += o.Failure
	c.NoRebuild += o.NoRebuild
	c.Empty += o.Empty
	c.Timeout += o.Timeout
	c.Partial += o.Partial
	c.Capped += o.Capped
}

// tally is what a Watch counts with while others read.
type tally struct {
	attempts, success, failure, noRebuild, empty, timeout, partial, capped atomic.Uint64
}

func (t *tally) counters() Counters {
	return Counters{
		Attempts:  t.attempts.Load(),
		Success:   t.success.Load(),
		Failure:   t.failure.Load(),
		NoRebuild: t.noRebuild.Load(),
		Empty:     t.empty.Load(),
		Timeout:   t.timeout.Load(),
		Partial:   t.partial.Load(),
		Capped:    t.capped.Load(),
	}
}

func (t *tally) failed(kind Kind) {
	t.failure.Add(1)
	switch kind {
	case KindNotFound, KindEmpty:
		t.empty.Add(1)
	case KindTimeout:
		t.timeout.Add(1)
	}
}
