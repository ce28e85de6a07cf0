package dns

import (
	"sync"
	"time"
)

const (
	// paceStep is the time between the first lookups of two watches, so that
	// 5,000 names are asked for in 2.5 seconds and their refreshes stay apart.
	paceStep = 500 * time.Microsecond
	// paceBurst is how many first lookups need not wait.
	paceBurst = 64
)

// pacer spreads first lookups. Safe for any goroutine.
type pacer struct {
	mu   sync.Mutex
	next time.Time
}

// reserve takes a place and says how long to wait for it.
func (p *pacer) reserve(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if full := now.Add(-paceBurst * paceStep); p.next.Before(full) {
		p.next = full
	}
	p.next = p.next.Add(paceStep)
	return max(0, p.next.Sub(now))
}
