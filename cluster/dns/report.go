package dns

import (
	"fmt"
	"sync"
	"time"
)

// State is how the lookups of a name go.
type State string

// StateGood is the beginning and the aim. StateCapped: there are more than
// 5,000 addresses. StatePartial: one family could not be asked for, and its
// last addresses are kept. StateFailing: there is no answer, and the last one
// is kept.
const (
	StateGood    State = "good"
	StateCapped  State = "capped"
	StatePartial State = "partial"
	StateFailing State = "failing"
)

// Report is a change of state, for the log.
type Report struct {
	Name  string
	State State
	Addrs int   // how many addresses the name has for us
	Left  int   // how many more there are, in StateCapped
	Err   error // why, in StatePartial and StateFailing
	// Suppressed is how many reports, of all names of the Resolver, were not
	// made before this one, because there were too many of them.
	Suppressed uint64
}

// String is a line for the log.
func (r Report) String() string {
	var text string
	switch r.State {
	case StateFailing:
		text = fmt.Sprintf("DNS: %v; %d addresses are kept from before, and it is tried again", r.Err, r.Addrs)
	case StatePartial:
		text = fmt.Sprintf("DNS: %v; the addresses of this family are kept from before, %d in all", r.Err, r.Addrs)
	case StateCapped:
		text = fmt.Sprintf("DNS: %s has %d addresses more than %d; they are left out", r.Name, r.Left, r.Addrs)
	default:
		text = fmt.Sprintf("DNS: %s is found again, with %d addresses", r.Name, r.Addrs)
	}
	if r.Suppressed > 0 {
		text += fmt.Sprintf(" (%d such messages before this one were left out)", r.Suppressed)
	}
	return text
}

const (
	reportBurst = 20
	reportEvery = 5 * time.Second
)

// allowance bounds the reports of all names together: when a server fails,
// thousands of names change their state at once. Safe for any goroutine.
type allowance struct {
	mu         sync.Mutex
	full       time.Time // when all reportBurst are there again
	suppressed uint64
}

// take says whether a report may be made, and how many were not since the one
// before.
func (a *allowance) take(now time.Time) (suppressed uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.full.Before(now) {
		a.full = now
	}
	if a.full.Sub(now) > (reportBurst-1)*reportEvery {
		a.suppressed++
		return 0, false
	}
	a.full = a.full.Add(reportEvery)
	suppressed, a.suppressed = a.suppressed, 0
	return suppressed, true
}
