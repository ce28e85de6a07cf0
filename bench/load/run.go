package load

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/usage"
	"github.com/sluiceproxy/sluice/internal/eventloop"
)

// patience is how long nothing may move where something is awaited: longer than a
// busy machine leaves a proxy alone.
const patience = 20 * time.Second

// Options are what a run is told besides its load.
type Options struct {
	Watch    []int              // processes whose usage is measured, with their descendants
	Progress func(done float64) // called now and then with 0 to 1 of warm-up and duration; nil = not

	patience time.Duration // 0 = the constant; tests are less patient
}

// Run makes the load l on target and measures it. What goes wrong with
// connections is counted in Measure.Errors; errors are for a load that is no
// load, processes that cannot be watched, a cancelled ctx and the like. It ends
// early when l.Most is reached or nothing works any more.
func Run(ctx context.Context, target netip.AddrPort, l bench.Load, o Options) (*bench.Measure, error) {
	if err := l.Validate(); err != nil {
		return nil, fmt.Errorf("load on %s: %w", target, err)
	}
	if o.patience == 0 {
		o.patience = patience
	}
	r := &run{options: o}
	r.load = l
	r.load.Loops = min(max(l.Loops, 1), l.Connections)
	if err := r.sampleBefore(); err != nil {
		return nil, fmt.Errorf("load on %s: %w", target, err)
	}
	response, err := learn(ctx, target, l, o.patience)
	if err != nil {
		return nil, fmt.Errorf("load on %s: %w", target, err)
	}
	p := plan{target: target, load: r.load, patience: o.patience, zero: time.Now(), response: response}
	if err := r.start(p); err != nil {
		r.stop()
		return nil, fmt.Errorf("load on %s: %w", target, err)
	}
	err = r.phases(ctx)
	r.stop()
	if err != nil {
		return nil, fmt.Errorf("load on %s: %w", target, err)
	}
	return r.measure()
}

// run is a load in the making, as seen from outside of the loops.
type run struct {
	options    Options
	load       bench.Load
	generators []*generator
	loops      []*eventloop.Loop
	news       chan news
	seen       [kindsOfNews]int // how many generators have told what

	before, first, last samples
}

// samples are of the watched processes and of this one.
type samples struct{ watched, own usage.Sample }

func (r *run) sample() (s samples, err error) {
	if s.own, err = usage.Take([]int{os.Getpid()}); err != nil {
		return s, err
	}
	s.watched, err = usage.Take(r.options.Watch)
	return s, err
}

func (r *run) sampleBefore() (err error) {
	r.before, err = r.sample()
	return err
}

func (r *run) start(p plan) error {
	r.news = make(chan news, p.load.Loops*int(kindsOfNews))
	for i := range p.load.Loops {
		loop, err := eventloop.New(eventloop.Options{})
		if err != nil {
			return err
		}
		go loop.Run()
		r.loops = append(r.loops, loop)
		g, err := newGenerator(loop, p, i, r.news)
		if err != nil {
			return err
		}
		r.generators = append(r.generators, g)
	}
	return nil
}

// each runs do on every generator's loop, one after the other.
func (r *run) each(do func(*generator)) {
	for _, g := range r.generators {
		g.loop.Do(func() { do(g) })
	}
}

func (r *run) stop() {
	r.each((*generator).close)
	for _, loop := range r.loops {
		loop.Stop()
	}
}
