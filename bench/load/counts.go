package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sluiceproxy/sluice/bench"
)

// longest is the longest time that is told apart, in nanoseconds.
const longest = int64(time.Minute)

// counts is what a generator counts.
type counts struct {
	answers, opened, up, down uint64
	latency, lag              *hdrhistogram.Histogram // nanoseconds
	errors                    map[string]uint64       // of the whole run
	failures                  int
}

func newCounts() counts {
	return counts{latency: newHistogram(), lag: newHistogram(), errors: make(map[string]uint64)}
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 3) }

// reset begins anew with all but the errors, which void a measure wherever they
// happened.
func (c *counts) reset() {
	c.answers, c.opened, c.up, c.down = 0, 0, 0, 0
	c.latency.Reset()
	c.lag.Reset()
}

func record(h *hdrhistogram.Histogram, nanoseconds int64) { recordMany(h, nanoseconds, 1) }

// recordMany cannot fail, as what is too long for the histogram is cut.
func recordMany(h *hdrhistogram.Histogram, nanoseconds, n int64) {
	h.RecordValues(min(max(nanoseconds, 0), longest), n)
}

// percentiles are the points of a latency curve.
func percentiles() []float64 {
	return []float64{0, 1, 5, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 96, 97, 98, 98.5, 99, 99.25, 99.5, 99.75,
		99.9, 99.925, 99.95, 99.975, 99.99, 99.995, 99.999, 99.9999, 100}
}

// distribution puts a histogram into words. It is zero for an empty one.
func distribution(h *hdrhistogram.Histogram) bench.Latency {
	if h.TotalCount() == 0 {
		return bench.Latency{}
	}
	at := func(percentile float64) time.Duration { return time.Duration(h.ValueAtPercentile(percentile)) }
	d := bench.Latency{
		Count: uint64(h.TotalCount()),
		Min:   time.Duration(h.Min()), Mean: time.Duration(h.Mean()), Max: time.Duration(h.Max()),
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
	}
	values := h.ValueAtPercentilesSlice(percentiles())
	for i, percentile := range percentiles() {
		d.Curve = append(d.Curve, bench.Quantile{Percentile: percentile, Value: time.Duration(values[i])})
	}
	return d
}

// measure puts together what the generators have counted; they are stopped.
func (r *run) measure() (*bench.Measure, error) {
	m := &bench.Measure{Load: r.load}
	all := newCounts()
	for _, g := range r.generators {
		for name, n := range g.errors {
			all.errors[name] += n
		}
	}
	if len(all.errors) > 0 {
		m.Errors = all.errors
	}
	if r.last.own.Empty() {
		return m, nil // broken before there was anything to measure
	}
	from, until := r.generators[0].from, r.generators[0].until
	for _, g := range r.generators {
		from, until = min(from, g.from), max(until, g.until)
		m.Answers += g.answers
		m.Opened += g.opened
		m.BytesUp += g.up
		m.BytesDown += g.down
		all.latency.Merge(g.latency)
		all.lag.Merge(g.lag)
	}
	m.Elapsed = time.Duration(until - from)
	m.Latency, m.Lag = distribution(all.latency), distribution(all.lag)
	return m, r.usage(m)
}

func (r *run) usage(m *bench.Measure) (err error) {
	if m.Generator, err = r.last.own.Since(r.first.own); err != nil {
		return err
	}
	if m.Proxy, err = r.last.watched.Since(r.first.watched); err != nil {
		return err
	}
	m.Generator.Before, m.Proxy.Before = r.before.own.Memory(), r.before.watched.Memory()
	return nil
}
