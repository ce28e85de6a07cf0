package daemon

import (
	"sync"
	"time"
)

const (
	eventBurst = 100
	eventEvery = 100 * time.Millisecond
)

// allowance bounds log lines about endpoints: when a network is cut, thousands of
// them change within a second. Safe for any goroutine.
type allowance struct {
	mu         sync.Mutex
	began      bool
	tokens     int
	since      time.Time // the last token came
	suppressed uint64
}

// take says whether a line may be written now, and how many were not before it.
func (a *allowance) take(now time.Time) (suppressed uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.began {
		a.began, a.tokens, a.since = true, eventBurst, now
	}
	if n := int(now.Sub(a.since) / eventEvery); n > 0 {
		a.tokens = min(eventBurst, a.tokens+n)
		a.since = a.since.Add(time.Duration(n) * eventEvery)
	}
	if a.tokens == 0 {
		a.suppressed++
		return 0, false
	}
	a.tokens--
	suppressed, a.suppressed = a.suppressed, 0
	return suppressed, true
}
