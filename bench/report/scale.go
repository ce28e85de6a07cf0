package report

import (
	"math"
	"slices"
)

// scale puts values on an axis: At is 0 for the least and 1 for the most.
type scale struct {
	least, most float64
	bend        func(float64) float64 // what makes the axis even
}

func (s scale) at(v float64) float64 {
	low, high := s.bend(s.least), s.bend(s.most)
	if high <= low {
		return 0.5
	}
	return min(max((s.bend(v)-low)/(high-low), 0), 1)
}

func even(v float64) float64 { return v }

// nines is 0 for 0 %, 1 for 90 %, 2 for 99 %: it gives the tail of a
// distribution the room that a linear axis denies it.
func nines(percentile float64) float64 { return -math.Log10(1 - percentile/100) }

// fromZero is a scale from 0 to a round number not below most, and the round
// numbers between. Memory is counted in powers of two: base is 1 of its unit.
func fromZero(most, base float64) (scale, []float64) {
	if !(most > 0) {
		most = base
	}
	step := roundStep(most/base/5) * base
	var at []float64
	for i := 0; ; i++ {
		at = append(at, float64(i)*step)
		if at[i] >= most*(1-1e-9) {
			return scale{0, at[i], even}, at
		}
	}
}

// roundStep is 1, 2 or 5 times a power of ten, at least v.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logarithmic is a scale from a round number to another around positive values,
// and the round numbers between: 1, 2 and 5 of each power of ten, or only the
// powers when that would be too many.
func logarithmic(least, most float64) (scale, []float64) {
	var all []float64
	for power := math.Floor(math.Log10(least)); power <= math.Ceil(math.Log10(most)); power++ {
		for _, m := range []float64{1, 2, 5} {
			all = append(all, m*math.Pow(10, power))
		}
	}
	first, last := 0, len(all)-1
	for first+1 < len(all) && all[first+1] <= least*(1+1e-9) {
		first++
	}
	for last > first+1 && all[last-1] >= most*(1-1e-9) {
		last--
	}
	at := all[first : last+1]
	s := scale{at[0], at[len(at)-1], math.Log10}
	if len(at) > 9 {
		at = slices.DeleteFunc(slices.Clone(at), func(v float64) bool {
			log := math.Log10(v)
			return math.Abs(log-math.Round(log)) > 1e-9
		})
	}
	return s, at
}
