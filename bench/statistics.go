package bench

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// LongestGCPause is sluice's longest pause by the garbage collector, in
// seconds. It is a figure of a Round, not of its Measure: subjects in other
// languages have none.
const LongestGCPause Figure = "gc_pause"

// Peers are the subjects that sluice is held against, in the order of reports.
// Direct is none: no proxy costs nothing.
func Peers() []string { return []string{Nginx, HAProxy, HAProxySplice, Envoy} }

// Spread is what the rounds gave of one number, in its unit. All is NaN when
// no round has it.
type Spread struct {
	Median float64
	Min    float64
	Max    float64
	Count  int // rounds that have it
}

// SpreadOf summarises values; those that are NaN or infinite do not count. The
// median of an even number of values is the mean of the two in the middle.
func SpreadOf(values []float64) Spread {
	var sorted []float64
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			sorted = append(sorted, v)
		}
	}
	n := len(sorted)
	if n == 0 {
		return Spread{Median: math.NaN(), Min: math.NaN(), Max: math.NaN()}
	}
	slices.Sort(sorted)
	median := sorted[n/2]
	if n%2 == 0 {
		median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return Spread{Median: median, Min: sorted[0], Max: sorted[n-1], Count: n}
}

// Ratio compares one row with another in one figure.
type Ratio struct {
	Spread            // of the ratios, each of two rounds with the same number
	OfMedians float64 // median by median: what goals are judged by
	Each      []RoundRatio
}

// RoundRatio is the ratio of one round; NaN: one of the two rows lacks the
// round or the figure in it.
type RoundRatio struct {
	Number int
	Value  float64
}

// Figure computes one number of the round; see Measure.Figure.
func (r *Round) Figure(f Figure) float64 {
	if f != LongestGCPause {
		return r.Measure.Figure(f)
	}
	if r.GCPause <= 0 {
		return math.NaN()
	}
	return r.GCPause.Seconds()
}

// Spread summarises a figure over the row's rounds, void or not. A nil row has
// none.
func (r *Row) Spread(f Figure) Spread {
	var values []float64
	if r != nil {
		for i := range r.Rounds {
			values = append(values, r.Rounds[i].Figure(f))
		}
	}
	return SpreadOf(values)
}

// Ratio divides the row's figure by another row's, round by round, so that a
// machine that was slow for a while counts for both. Either may be nil.
func (r *Row) Ratio(to *Row, f Figure) Ratio {
	ratio := Ratio{OfMedians: quotient(r.Spread(f).Median, to.Spread(f).Median)}
	var values []float64
	if r != nil {
		for i := range r.Rounds {
			value := quotient(r.Rounds[i].Figure(f), to.figureOf(r.Rounds[i].Number, f))
			values = append(values, value)
			ratio.Each = append(ratio.Each, RoundRatio{r.Rounds[i].Number, value})
		}
	}
	ratio.Spread = SpreadOf(values)
	return ratio
}

// figureOf is a figure of the round with that number.
func (r *Row) figureOf(number int, f Figure) float64 {
	if r != nil {
		for i := range r.Rounds {
			if r.Rounds[i].Number == number {
				return r.Rounds[i].Figure(f)
			}
		}
	}
	return math.NaN()
}

// quotient is NaN where a ratio says nothing, as of memory that has shrunk.
func quotient(a, b float64) float64 {
	if !(b > 0) {
		return math.NaN()
	}
	return a / b
}

// WhyVoid says why the row does not count: for what Void says, because a round
// has errors, or because there is no row or no round. Empty: it counts.
func (r *Row) WhyVoid() string {
	switch {
	case r == nil:
		return "was not measured"
	case r.Void != "":
		return r.Void
	case len(r.Rounds) == 0:
		return "no round was measured"
	}
	for i := range r.Rounds {
		found := r.Rounds[i].Measure.Errors
		for _, name := range slices.Sorted(maps.Keys(found)) {
			if found[name] > 0 {
				return fmt.Sprintf("round %d: %d × %s", r.Rounds[i].Number, found[name], name)
			}
		}
	}
	return ""
}

// Scenario finds a scenario by name; nil: there is none. It stays the report's.
func (r *Report) Scenario(name string) *Scenario {
	for i := range r.Scenarios {
		if r.Scenarios[i].Name == name {
			return &r.Scenarios[i]
		}
	}
	return nil
}

// Row finds what a subject did in a scenario; nil: it was left out. It stays
// the report's.
func (r *Report) Row(scenario, subject string) *Row {
	for i := range r.Rows {
		if r.Rows[i].Scenario == scenario && r.Rows[i].Subject == subject {
			return &r.Rows[i]
		}
	}
	return nil
}

// BestPeer is the row of the peer with the best median of a figure, among
// those that are not void; nil: there is none. Of equals the first of Peers.
func (r *Report) BestPeer(scenario string, f Figure) *Row {
	var best *Row
	var median float64
	for _, name := range Peers() {
		row := r.Row(scenario, name)
		if row.WhyVoid() != "" {
			continue
		}
		m := row.Spread(f).Median
		if !math.IsNaN(m) && (best == nil || f.better(m, median)) {
			best, median = row, m
		}
	}
	return best
}

// better says whether a is better than b.
func (f Figure) better(a, b float64) bool {
	if f.MoreIsBetter() {
		return cmp.Compare(a, b) > 0
	}
	return cmp.Compare(a, b) < 0
}
