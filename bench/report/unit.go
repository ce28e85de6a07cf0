package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sluiceproxy/sluice/bench"
)

// none stands where there is no number.
const none = "–"

// unit is how numbers of a size are written: divided, and named behind.
type unit struct {
	by   float64
	name string
}

// unitOf picks the unit for a value of a figure.
func unitOf(f bench.Figure, v float64) unit {
	switch f {
	case bench.AnswersPerSecond, bench.OpenedPerSecond:
		return pick(v, unit{1, ""}, unit{1e3, " k"}, unit{1e6, " M"})
	case bench.BitsPerSecond:
		return pick(v, unit{1, " b/s"}, unit{1e3, " kb/s"}, unit{1e6, " Mb/s"}, unit{1e9, " Gb/s"})
	case bench.RSSPerOpened, bench.PSSPerOpened, bench.RSS, bench.PSS:
		return pick(v, unit{1, " B"}, unit{1 << 10, " KiB"}, unit{1 << 20, " MiB"}, unit{1 << 30, " GiB"})
	case bench.SwitchesPerUnit:
		return unit{1, ""}
	}
	return pick(v, unit{1e-9, " ns"}, unit{1e-6, " µs"}, unit{1e-3, " ms"}, unit{1, " s"})
}

// pick takes the largest unit that leaves at least one of it.
func pick(v float64, units ...unit) unit {
	for i := len(units) - 1; i > 0; i-- {
		if math.Abs(v) >= 0.9995*units[i].by {
			return units[i]
		}
	}
	return units[0]
}

// significant writes three digits that count, or all before the point.
func significant(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v):
		return none
	case abs >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// value writes a figure with its unit, "6.61 µs".
func value(f bench.Figure, v float64) string {
	if math.IsNaN(v) {
		return none
	}
	u := unitOf(f, v)
	return significant(v/u.by) + u.name
}

// short writes a figure for an axis, without zeros that say nothing.
func short(f bench.Figure, v float64, u unit) string {
	if v == 0 {
		return "0"
	}
	return strconv.FormatFloat(v/u.by, 'g', 4, 64) + u.name
}

// spread writes the median and what it lies between, in the median's unit:
// "151 [148..153] k".
func spread(f bench.Figure, s bench.Spread) string {
	if s.Count == 0 {
		return none
	}
	u := unitOf(f, s.Median)
	return fmt.Sprintf("%s [%s..%s]%s", significant(s.Median/u.by), significant(s.Min/u.by), significant(s.Max/u.by), u.name)
}

// times writes a ratio of medians and between what the rounds lie.
func times(r bench.Ratio) string {
	if math.IsNaN(r.OfMedians) {
		return none
	}
	if r.Count == 0 {
		return ratio(r.OfMedians)
	}
	return fmt.Sprintf("%s [%s..%s]", ratio(r.OfMedians), ratio(r.Min), ratio(r.Max))
}

func ratio(v float64) string {
	if math.IsNaN(v) {
		return none
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// count writes a whole number with its thousands apart: 9,000.
func count(n int) string {
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// size writes a number of bytes that somebody chose, 64 B or 16 KiB.
func size(bytes uint64) string {
	return short(bench.RSS, float64(bytes), unitOf(bench.RSS, float64(bytes)))
}
