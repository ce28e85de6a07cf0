package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/sluiceproxy/sluice/bench"
)

// Measure writes one measure as text: what it was, and each figure that it has.
func Measure(w io.Writer, m *bench.Measure) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, loadWords(m.Load))
	cpu, unit := unitCost(m.Load.Kind)
	for _, f := range []bench.Figure{
		bench.AnswersPerSecond, bench.OpenedPerSecond, bench.BitsPerSecond,
		bench.P50, bench.P90, bench.P99, bench.P999, bench.Max,
		cpu, bench.SwitchesPerUnit, bench.RSS, bench.PSS, bench.RSSPerOpened,
	} {
		name := nameOf(f)
		if f == bench.SwitchesPerUnit {
			name = "context switches per " + unit
		}
		if v := m.Figure(f); !math.IsNaN(v) && v != 0 {
			fmt.Fprintf(out, "%s\t%s\n", name, value(f, v))
		}
	}
	if m.Lag.Count > 0 {
		fmt.Fprintf(out, "the generator's own lag\tp50 %v, p99.9 %v\n", m.Lag.P50, m.Lag.P999)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Errors)) {
		fmt.Fprintf(out, "error: %s\t%d\n", name, m.Errors[name])
	}
	return out.Flush()
}
