package report

import (
	"slices"

	"github.com/sluiceproxy/sluice/bench"
)

// detail is a scenario's table with its rounds.
type detail struct {
	block
	ID      string
	Mode    string
	Figure  string
	Best    string // the best peer, or empty
	Numbers []int  // of rounds
	Rounds  []roundsRow
}

// roundsRow is what one subject did round by round, a cell for each of
// detail.Numbers.
type roundsRow struct {
	Subject string
	Cells   []roundCell
}

type roundCell struct{ Value, Best, Direct string }

func newDetail(r *bench.Report, s *bench.Scenario) detail {
	d := detail{block: newBlock(r, s), ID: "scenario-" + slug(s.Name), Mode: modeWords(s.Mode), Figure: nameOf(s.Figure)}
	best, direct := r.BestPeer(s.Name, s.Figure), r.Row(s.Name, bench.Direct)
	if best != nil {
		d.Best = best.Subject
	}
	for _, row := range d.Rows {
		for i := range row.row.Rounds {
			d.Numbers = append(d.Numbers, row.row.Rounds[i].Number)
		}
	}
	slices.Sort(d.Numbers)
	d.Numbers = slices.Compact(d.Numbers)
	for _, row := range d.Rows {
		d.Rounds = append(d.Rounds, roundsRow{row.Subject, roundCells(row.row, best, direct, d)})
	}
	return d
}

// roundCells has no ratios of rows that do not count, and nothing of rounds
// that the row lacks.
func roundCells(row, best, direct *bench.Row, d detail) []roundCell {
	cells := slices.Repeat([]roundCell{{none, none, none}}, len(d.Numbers))
	f := d.Scenario.Figure
	toBest, toDirect := row.Ratio(best, f), row.Ratio(direct, f)
	for i := range row.Rounds {
		round := &row.Rounds[i]
		at, _ := slices.BinarySearch(d.Numbers, round.Number)
		cells[at].Value = value(f, round.Figure(f))
		if row.WhyVoid() != "" {
			continue
		}
		cells[at].Best = ratio(toBest.Each[i].Value)
		if direct.WhyVoid() == "" {
			cells[at].Direct = ratio(toDirect.Each[i].Value)
		}
	}
	return cells
}
