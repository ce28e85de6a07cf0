package dns

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// Watch keeps the addresses of one name current. NewWatch makes it, Run does
// the work, once.
type Watch struct {
	// OnReport gets changes of state; nil leaves them to the counters. FollowFirst
	// calls changed also when the same addresses have another one first, which
	// clusters of type logical_dns need. Both are set before Run.
	OnReport    func(Report)
	FollowFirst bool

	name     string
	settings config.DNS
	find     func(ctx context.Context, name string, family config.LookupFamily) (findings, error)
	pace     *pacer
	reports  *allowance
	changed  func(Answer)

	tally     tally
	first     chan struct{}
	firstOnce sync.Once

	// What follows is Run's alone.
	last     findings // the addresses that hold
	answer   Answer   // made of last
	state    State
	failures int // in a row
}

// NewWatch prepares a watch of a name. Of settings it takes all but Resolvers,
// which are r's. changed is called by Run, never twice at once, with each
// answer whose set of addresses is another one than before; it gets slices of
// its own.
func NewWatch(r *Resolver, name string, settings config.DNS, changed func(Answer)) *Watch {
	return &Watch{
		name: name, settings: settings, changed: changed,
		find: r.find, pace: &r.pace, reports: &r.reports,
		first: make(chan struct{}), state: StateGood,
	}
}

// First is closed when the first lookup has ended, good or bad, and after
// changed was called with what it found; or when Run has ended.
func (w *Watch) First() <-chan struct{} { return w.first }

// Counters are the counts so far. Any goroutine may ask.
func (w *Watch) Counters() Counters { return w.tally.counters() }

// Run looks the name up until ctx is done: again when the answer's TTL is over,
// or by the refresh rate, and after failures with growing pauses.
func (w *Watch) Run(ctx context.Context) {
	defer w.endFirst()
	if !sleep(ctx, w.pace.reserve(time.Now())) {
		return
	}
	for {
		pause := w.lookUp(ctx)
		if ctx.Err() != nil {
			return
		}
		w.endFirst()
		if !sleep(ctx, pause) {
			return
		}
	}
}

func (w *Watch) endFirst() { w.firstOnce.Do(func() { close(w.first) }) }

// sleep says whether all of the time has passed.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// lookUp is one lookup and what follows from it; it returns the pause before
// the next one.
func (w *Watch) lookUp(ctx context.Context) time.Duration {
	w.tally.attempts.Add(1)
	f, err := w.find(ctx, w.name, w.settings.LookupFamily)
	if err != nil {
		return 0 // ctx is done
	}
	if _, ok := choose(w.settings.LookupFamily, f.v4.section, f.v6.section); !ok {
		return w.fail(f.failure(w.name))
	}
	w.failures = 0
	partial := worse(keep(&f.v4, w.last.v4), keep(&f.v6, w.last.v6))
	answer, _ := choose(w.settings.LookupFamily, f.v4.section, f.v6.section)
	w.last = f
	w.succeed(answer, partial)
	return refreshAfter(w.settings, answer.TTL)
}

// fail keeps everything as it is.
func (w *Watch) fail(failure error) time.Duration {
	w.failures++
	kind := KindServer
	if f, ok := failure.(*Failure); ok {
		kind = f.Kind
	}
	w.tally.failed(kind)
	w.report(Report{State: StateFailing, Addrs: len(w.answer.Addrs), Err: failure})
	return backoff(w.settings, w.failures)
}

// keep puts the addresses from before into a family that nobody knows anything
// of, and returns why. They hold as long as those of the other family.
func keep(now *finding, last finding) *Failure {
	failure := now.err
	if len(now.addrs) > 0 || failure != nil && failure.truth() {
		return nil
	}
	now.section = section{addrs: last.addrs, ttl: maxTTL}
	return failure
}

// succeed passes an answer on when it is another one than before.
func (w *Watch) succeed(answer Answer, partial *Failure) {
	w.tally.success.Add(1)
	same := slices.Equal(answer.Addrs, w.answer.Addrs)
	moved := w.FollowFirst && answer.First != w.answer.First
	w.answer = answer
	if same {
		w.tally.noRebuild.Add(1)
	}
	report := Report{State: StateGood, Addrs: len(answer.Addrs)}
	if answer.Left > 0 {
		w.tally.capped.Add(1)
		report.State, report.Left = StateCapped, answer.Left
	}
	if partial != nil {
		w.tally.partial.Add(1)
		report.State, report.Err = StatePartial, partial
	}
	if !same || moved {
		given := answer
		given.Addrs = slices.Clone(answer.Addrs)
		w.changed(given)
	}
	w.report(report)
}

// report passes on a change of state.
func (w *Watch) report(r Report) {
	if r.State == w.state {
		return
	}
	w.state = r.State
	if w.OnReport == nil {
		return
	}
	suppressed, ok := w.reports.take(time.Now())
	if !ok {
		return
	}
	r.Name, r.Suppressed = w.name, suppressed
	w.OnReport(r)
}
