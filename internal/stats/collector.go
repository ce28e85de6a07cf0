package stats

import (
	"math"
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

// Collector shows a registry's series to Prometheus's client library. It is
// unchecked: series come and go with configurations, so it describes nothing
// beforehand.
type Collector struct {
	registry *Registry
	gather   func(sum []uint64)
	only     selection
}

// NewCollector makes a collector whose values come from gather. It is called
// for each scrape, from the scraping goroutine, with zeros, and adds the
// shards of all loops to them (Shard.AddTo, on each loop's own thread).
func NewCollector(registry *Registry, gather func(sum []uint64)) *Collector {
	return &Collector{registry: registry, gather: gather}
}

// selection is what a scrape asked to see: Envoy's usedonly and filter.
type selection struct {
	used   bool
	filter *regexp.Regexp // on the name in /stats; nil: all
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	readings := c.read()
	for i := range readings {
		out <- &readings[i]
	}
}

// read takes one value of every selected series.
func (c *Collector) read() []reading {
	c.registry.mu.Lock()
	all := append([]*series(nil), c.registry.series...)
	sum := make([]uint64, c.registry.cells)
	c.registry.mu.Unlock()
	c.gather(sum)
	readings := make([]reading, 0, len(all))
	for _, s := range all {
		r := reading{series: s}
		if s.read != nil {
			r.sample = s.read()
		} else {
			r.cells = sum[s.cell : s.cell+width(s.family.kind)]
		}
		if c.only.shows(&r) {
			readings = append(readings, r)
		}
	}
	return readings
}

func (s selection) shows(r *reading) bool {
	if r.read != nil && math.IsNaN(r.sample) {
		return false
	}
	if (s.used || r.family.rare) && !r.used() {
		return false
	}
	return s.filter == nil || s.filter.MatchString(r.name())
}

// reading is one series with its value at one moment.
type reading struct {
	*series
	cells  []uint64 // its cells of the sum; nil if sampled
	sample float64
	text   string // its name in /stats, once they are sorted
}

// used says whether anything was counted. Envoy remembers that a gauge was
// ever set; here a gauge that is 0 again counts as unused.
func (r *reading) used() bool {
	if r.read != nil {
		return r.sample != 0
	}
	for _, cell := range r.cells {
		if cell != 0 {
			return true
		}
	}
	return false
}

// value is that of a series which is not a histogram.
func (r *reading) value() float64 {
	switch {
	case r.read != nil:
		return r.sample
	case r.family.kind == gaugeKind:
		return float64(int64(r.cells[0]))
	case r.family.kind == nanosKind:
		return float64(r.cells[0]) / 1e9
	}
	return float64(r.cells[0])
}

// Desc implements prometheus.Metric.
func (r *reading) Desc() *prometheus.Desc { return r.family.desc }

// Write implements prometheus.Metric.
func (r *reading) Write(out *dto.Metric) error {
	out.Label = r.labels()
	switch r.family.kind {
	case histogramKind:
		out.Histogram = newDistribution(r.cells).proto()
	case gaugeKind:
		out.Gauge = &dto.Gauge{Value: proto.Float64(r.value())}
	default:
		out.Counter = &dto.Counter{Value: proto.Float64(r.value())}
	}
	return nil
}

// proto is the distribution as Prometheus wants it: cumulative buckets, the
// one without a bound implied by the count, and milliseconds.
func (d distribution) proto() *dto.Histogram {
	h := &dto.Histogram{
		SampleCount: proto.Uint64(d.count),
		SampleSum:   proto.Float64(float64(d.sum) / microsPerMilli),
		Bucket:      make([]*dto.Bucket, len(boundsMicros)),
	}
	var cumulative uint64
	for i := range h.Bucket {
		cumulative += d.buckets[i]
		h.Bucket[i] = &dto.Bucket{CumulativeCount: proto.Uint64(cumulative), UpperBound: proto.Float64(boundMillis(i))}
	}
	return h
}
