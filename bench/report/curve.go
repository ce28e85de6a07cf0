package report

import (
	"cmp"
	"math"
	"slices"

	"github.com/sluiceproxy/sluice/bench"
)

// percentiles are the places where the distributions of rounds are compared.
func percentiles() []float64 {
	return []float64{0, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999}
}

// curvePoints is a row's distribution, at each percentile the median of its
// rounds. The rounds need not have the same points.
func curvePoints(row *bench.Row) []point {
	var points []point
	for _, p := range percentiles() {
		values := make([]float64, 0, len(row.Rounds))
		for i := range row.Rounds {
			values = append(values, quantile(&row.Rounds[i].Measure.Latency, p))
		}
		if s := bench.SpreadOf(values); s.Count > 0 && s.Median > 0 {
			points = append(points, point{x: p, spread: s})
		}
	}
	return points
}

// quantile is a latency in seconds, between two points of the curve along the
// axis of nines. NaN: so few were measured, or so few points kept, that the
// percentile is beyond them.
func quantile(l *bench.Latency, percentile float64) float64 {
	curve := knots(l)
	i, found := slices.BinarySearchFunc(curve, percentile, func(q bench.Quantile, p float64) int {
		return cmp.Compare(q.Percentile, p)
	})
	switch {
	case found:
		return curve[i].Value.Seconds()
	case i == 0 || i == len(curve):
		return math.NaN()
	}
	low, high := curve[i-1], curve[i]
	share := (nines(percentile) - nines(low.Percentile)) / (nines(high.Percentile) - nines(low.Percentile))
	return low.Value.Seconds() + share*(high.Value-low.Value).Seconds()
}

// knots are the points of a distribution below 100 %, which no axis of nines
// has a place for: the greatest of n is taken as the 100-100/n percentile.
func knots(l *bench.Latency) []bench.Quantile {
	if l.Count == 0 {
		return nil
	}
	curve := l.Curve
	if len(curve) == 0 {
		curve = []bench.Quantile{{Percentile: 0, Value: l.Min}, {Percentile: 50, Value: l.P50}, {Percentile: 90, Value: l.P90},
			{Percentile: 99, Value: l.P99}, {Percentile: 99.9, Value: l.P999}, {Percentile: 100, Value: l.Max}}
	}
	end := 100 - 100/float64(l.Count)
	var kept []bench.Quantile
	for _, q := range curve {
		if q.Percentile <= end {
			kept = append(kept, q)
		}
	}
	if n := len(kept); n > 0 && kept[n-1].Percentile == end {
		return kept
	}
	return append(kept, bench.Quantile{Percentile: end, Value: l.Max})
}
