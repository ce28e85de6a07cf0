package report

import (
	"slices"

	"github.com/sluiceproxy/sluice/bench"
)

// block is what a scenario came to, as text: one row for each subject, with the
// same cells on a terminal and on a page.
type block struct {
	Scenario *bench.Scenario
	Load     string
	Heads    []string // of Cells
	Rows     []blockRow
}

// blockRow is one subject of a block.
type blockRow struct {
	Subject string
	Cells   []string
	Void    string // why the row does not count
	row     *bench.Row
}

// column is one number of a block.
type column struct {
	head string
	cell func(*bench.Row) string
}

func newBlock(r *bench.Report, s *bench.Scenario) block {
	b := block{Scenario: s, Load: loadWords(loadOf(r, s))}
	all := columns(r, s)
	for _, c := range all {
		b.Heads = append(b.Heads, c.head)
	}
	for _, row := range rowsOf(r, s) {
		cells := make([]string, len(all))
		for i, c := range all {
			cells[i] = c.cell(row)
		}
		b.Rows = append(b.Rows, blockRow{row.Subject, cells, row.WhyVoid(), row})
	}
	return b
}

// columns are what a block shows besides the subject.
func columns(r *bench.Report, s *bench.Scenario) []column {
	median := func(head string, f bench.Figure) column {
		return column{head, func(row *bench.Row) string { return value(f, row.Spread(f).Median) }}
	}
	best := r.BestPeer(s.Name, s.Figure)
	bestName := "best peer"
	if best != nil {
		bestName = best.Subject
	}
	cpu, unit := unitCost(s.Load.Kind)
	all := []column{
		{nameOf(s.Figure), func(row *bench.Row) string { return spread(s.Figure, row.Spread(s.Figure)) }},
		{"× " + bestName, against(best, s.Figure)},
		{"× direct", against(r.Row(s.Name, bench.Direct), s.Figure)},
		median("CPU/"+unit, cpu),
		median("cs/"+unit, bench.SwitchesPerUnit),
		median("RSS", bench.RSS),
		median("PSS", bench.PSS),
	}
	if hasLatency(r, s) {
		for _, f := range []bench.Figure{bench.P50, bench.P90, bench.P99, bench.P999, bench.Max} {
			all = append(all, median(nameOf(f), f))
		}
	}
	return all
}

// against writes ratios to one row; a row that does not count has none.
func against(to *bench.Row, f bench.Figure) func(*bench.Row) string {
	return func(row *bench.Row) string {
		if row.WhyVoid() != "" || to.WhyVoid() != "" {
			return none
		}
		r := row.Ratio(to, f)
		if row == to && r.Count > 0 {
			return "1"
		}
		return times(r)
	}
}

// subjectNames are all subjects, first those the report lists, in its order.
func subjectNames(r *bench.Report) []string {
	var names []string
	for _, s := range r.Subjects {
		names = append(names, s.Name)
	}
	for i := range r.Rows {
		if name := r.Rows[i].Subject; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// rowsOf are the rows of a scenario in the order of subjects.
func rowsOf(r *bench.Report, s *bench.Scenario) []*bench.Row {
	var rows []*bench.Row
	for _, name := range subjectNames(r) {
		if row := r.Row(s.Name, name); row != nil {
			rows = append(rows, row)
		}
	}
	return rows
}

// loadOf is the load that ran: the scenario's own lacks a rate that was found
// on the way.
func loadOf(r *bench.Report, s *bench.Scenario) bench.Load {
	for _, row := range rowsOf(r, s) {
		if len(row.Rounds) > 0 && row.Rounds[0].Measure.Load.Kind != "" {
			return row.Rounds[0].Measure.Load
		}
	}
	return s.Load
}

func hasLatency(r *bench.Report, s *bench.Scenario) bool {
	return slices.ContainsFunc(rowsOf(r, s), func(row *bench.Row) bool { return row.Spread(bench.P50).Count > 0 })
}
