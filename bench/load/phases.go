package load

import (
	"context"
	"time"
)

// news is what a generator tells the run.
type news int

const (
	opened  news = iota // all connections that stay are open
	warm                // the bound on requests or connections is reached in the warm-up
	reached             // and in the measured part
	drained             // all answers are there that can be
	broken              // it makes no sense to go on
	kindsOfNews
)

const progressEvery = 100 * time.Millisecond

// phases goes through the phases of the load. After news that something is
// broken it goes to the end without an error: Measure.Errors tells.
func (r *run) phases(ctx context.Context) error {
	r.each((*generator).open)
	what, err := r.await(ctx, opened)
	if what == broken || err != nil {
		return err
	}
	r.each((*generator).start)
	if what, err = r.pass(ctx, warm, 0); what == broken || err != nil {
		return err
	}
	if r.first, err = r.sample(); err != nil {
		return err
	}
	r.each((*generator).begin)
	if _, err = r.pass(ctx, reached, r.load.Warmup); err != nil {
		return err
	}
	r.each((*generator).freeze)
	if r.last, err = r.sample(); err != nil {
		return err
	}
	_, err = r.await(ctx, drained)
	return err
}

// await waits until all generators have had the news, or one is broken.
func (r *run) await(ctx context.Context, what news) (news, error) {
	for r.seen[what] < len(r.generators) && r.seen[broken] == 0 {
		select {
		case <-ctx.Done():
			return what, ctx.Err()
		case is := <-r.news:
			r.seen[is]++
		}
	}
	return r.verdict(what), nil
}

// pass lets the time of warm-up or measured part go by, or less when every
// generator has told until (its bound) or one is broken. What was before took
// done.
func (r *run) pass(ctx context.Context, until news, done time.Duration) (news, error) {
	d, whole := r.load.Duration, r.load.Warmup+r.load.Duration
	if until == warm {
		d = r.load.Warmup
	}
	began := time.Now()
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for over := false; !over && r.seen[until] < len(r.generators) && r.seen[broken] == 0; {
		select {
		case <-ctx.Done():
			return until, ctx.Err()
		case <-end.C:
			over = true
		case is := <-r.news:
			r.seen[is]++
		case <-tick.C:
			r.progress(float64(done+min(time.Since(began), d)) / float64(whole))
		}
	}
	r.progress(float64(done+d) / float64(whole))
	return r.verdict(until), nil
}

func (r *run) verdict(what news) news {
	if r.seen[broken] > 0 {
		return broken
	}
	return what
}

func (r *run) progress(done float64) {
	if r.options.Progress != nil {
		r.options.Progress(done)
	}
}
