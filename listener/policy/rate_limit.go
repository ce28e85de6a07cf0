package policy

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// TokenBucket is how many new connections a chain takes: MaxTokens at once,
// and TokensPerFill more after each FillInterval (envoy.type.v3.TokenBucket).
type TokenBucket struct {
	MaxTokens     uint32
	TokensPerFill uint32
	FillInterval  time.Duration
}

// Within MinFillInterval and MostTokens a bucket can count tokens until the
// clock itself ends, 292 years.
const (
	MinFillInterval = config.MinFillInterval
	MostTokens      = config.MostTokens
)

// RateLimit is a token bucket that serves all loops at once, without a lock.
type RateLimit struct {
	// gone counts the tokens that were taken, or lost because the bucket was
	// full. What the bucket has is max, plus what was filled in so far, minus
	// gone. One number that only grows cannot tear and cannot drift.
	gone atomic.Int64

	max, perFill    int64
	interval, start int64 // ns
}

// NewRateLimit makes a full bucket at now, in nanoseconds of a clock that
// never runs backwards and that is the one of Take. Loops whose clocks differ
// share a bucket safely: a loop that is behind sees tokens later.
func NewRateLimit(b TokenBucket, now int64) (*RateLimit, error) {
	switch {
	case b.MaxTokens == 0:
		return nil, fmt.Errorf("max_tokens: 0 would refuse every connection; at least 1, or leave local_rate_limit out")
	case b.MaxTokens > MostTokens:
		return nil, fmt.Errorf("max_tokens: %d is more than %d; leave local_rate_limit out for no limit", b.MaxTokens, MostTokens)
	case b.TokensPerFill == 0:
		return nil, fmt.Errorf("tokens_per_fill: 0 would never fill the bucket again; at least 1")
	case b.FillInterval < MinFillInterval:
		return nil, fmt.Errorf("fill_interval: %v is too short; at least %v, as in Envoy", b.FillInterval, MinFillInterval)
	}
	return &RateLimit{
		max:      int64(b.MaxTokens),
		perFill:  int64(min(b.TokensPerFill, b.MaxTokens)), // more is lost anyway
		interval: int64(b.FillInterval),
		start:    max(0, now),
	}, nil
}

// Take takes a token at now, or tells that there is none.
func (r *RateLimit) Take(now int64) bool {
	filled := r.filled(now)
	for {
		before := r.gone.Load()
		// A bucket with nothing missing has lost what was filled in.
		gone := max(before, filled)
		if gone >= filled+r.max {
			return false
		}
		if r.gone.CompareAndSwap(before, gone+1) {
			return true
		}
	}
}

// Tokens is how many tokens there are at now.
func (r *RateLimit) Tokens(now int64) int64 {
	filled := r.filled(now)
	return max(0, filled+r.max-max(r.gone.Load(), filled))
}

// filled is how many tokens have been filled in by now, fitting or not. It
// is exact: whole intervals since the start, and at most 2⁶³ns/50ms·2²⁵ <
// 2⁶³ tokens.
func (r *RateLimit) filled(now int64) int64 {
	if now <= r.start {
		return 0
	}
	return (now - r.start) / r.interval * r.perFill
}
