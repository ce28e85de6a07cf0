package report

import (
	"fmt"

	"github.com/sluiceproxy/sluice/bench"
)

// goalRow is one goal and what became of it, as text.
type goalRow struct {
	Scenario string
	Goal     string
	Sluice   string
	Best     string // with the name of the peer
	Ratio    string
	Result   string
	Outcome  bench.Outcome
}

// goalRows judges the goals of all scenarios.
func goalRows(r *bench.Report) []goalRow {
	var rows []goalRow
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		for _, v := range r.Verdicts(s) {
			best := none
			if v.Peer != "" {
				best = v.Peer + " " + value(v.Goal.Figure, v.Best)
			}
			rows = append(rows, goalRow{s.Name, goalWords(v.Goal), value(v.Goal.Figure, v.Value), best,
				ratio(v.Ratio), resultWords(&v), v.Result})
		}
	}
	return rows
}

// score counts the goals.
func score(rows []goalRow) string {
	reached, unjudged := 0, 0
	for _, row := range rows {
		switch row.Outcome {
		case bench.Reached:
			reached++
		case bench.Unjudged:
			unjudged++
		}
	}
	words := fmt.Sprintf("%d of %d reached", reached, len(rows))
	if unjudged > 0 {
		words += fmt.Sprintf(", %d cannot be judged", unjudged)
	}
	return words
}
