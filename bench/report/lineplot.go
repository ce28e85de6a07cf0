package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceproxy/sluice/bench"
)

// canvas is an empty chart for lines.
func canvas(id, title string) chart {
	return chart{ID: id, Title: title, Width: 640, Height: 340, Area: area{64, 30, 606, 294}}
}

// latencyPlot shows the distributions of one scenario; ok is false when there
// are none.
func (p *plotter) latencyPlot(s *bench.Scenario) (c chart, ok bool) {
	c = canvas("latency-"+slug(s.Name), "Latency: "+s.Title)
	c.Caption = "At each percentile the median of the rounds; each further nine has the same room. " + sentence(loadWords(loadOf(p.report, s)))
	c.XName, c.YName = "percentile", "latency"
	var all []series
	least, most, last := math.Inf(1), 0.0, 90.0
	subjects, void := p.counting(s)
	for _, name := range subjects {
		points := curvePoints(p.report.Row(s.Name, name))
		if len(points) < 2 {
			continue
		}
		for i := range points {
			median := points[i].spread.Median
			least, most, last = min(least, median), max(most, median), max(last, points[i].x)
			points[i].tip = fmt.Sprintf("%s, p%s: %s", name, strconv.FormatFloat(points[i].x, 'g', -1, 64), value(bench.P50, median))
			points[i].spread.Min, points[i].spread.Max = median, median // whiskers would hide the lines
		}
		all = append(all, series{name, points})
	}
	if len(all) == 0 {
		return c, false
	}
	c.Caption += void
	x, y := scale{0, last, nines}, scale{}
	y, at := logarithmic(least, most)
	c.YTicks = ticks(at, y, c.Area.y, func(v float64) string { return short(bench.P50, v, unitOf(bench.P50, v)) })
	shown := slices.DeleteFunc([]float64{0, 50, 90, 99, 99.9, 99.99, 99.999}, func(v float64) bool { return v > last })
	c.XTicks = ticks(shown, x, c.Area.x, func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) })
	p.finish(&c, all, x, y)
	return c, true
}

// family is a group of scenarios that differ in the number of connections
// alone, and may therefore share a line.
type family struct {
	figure    bench.Figure
	scenarios []*bench.Scenario // connections rising
}

// families finds the scenarios of a kind that can share a line: at least two.
func (p *plotter) families(kind bench.Kind, f bench.Figure) []family {
	var all []family
	for i := range p.report.Scenarios {
		s := &p.report.Scenarios[i]
		if s.Load.Kind != kind || s.Load.Rate > 0 || s.Of != "" {
			continue
		}
		at := slices.IndexFunc(all, func(f family) bool { return alike(f.scenarios[0], s) })
		if at < 0 {
			all = append(all, family{figure: f})
			at = len(all) - 1
		}
		all[at].scenarios = append(all[at].scenarios, s)
	}
	for _, f := range all {
		slices.SortStableFunc(f.scenarios, func(a, b *bench.Scenario) int { return a.Load.Connections - b.Load.Connections })
	}
	return slices.DeleteFunc(all, func(f family) bool {
		return f.scenarios[0].Load.Connections == f.scenarios[len(f.scenarios)-1].Load.Connections
	})
}

func alike(a, b *bench.Scenario) bool {
	return a.Mode == b.Mode && a.Load.Size == b.Load.Size && a.Load.Protocol == b.Load.Protocol && a.Load.Beside == b.Load.Beside
}

// familyPlot shows a figure against the number of connections.
func (p *plotter) familyPlot(c chart, f family, logX bool) (chart, bool) {
	all, most := p.familySeries(f)
	if len(all) == 0 {
		return c, false
	}
	first, last := f.scenarios[0].Load.Connections, f.scenarios[len(f.scenarios)-1].Load.Connections
	x := scale{0, float64(last), even}
	if logX {
		x = scale{float64(first), float64(last), math.Log10}
	}
	var at []float64
	for _, s := range f.scenarios {
		at = append(at, float64(s.Load.Connections))
	}
	c.XTicks = ticks(slices.Compact(at), x, c.Area.x, func(v float64) string { return count(int(v)) })
	u := unitOf(f.figure, most)
	y, at := fromZero(most, u.by)
	c.YTicks = ticks(at, y, c.Area.y, func(v float64) string { return short(f.figure, v, u) })
	c.XName, c.YName = "connections", nameOf(f.figure)
	c.Caption += " Whiskers reach from the least to the most of all rounds."
	for _, s := range f.scenarios {
		_, void := p.counting(s)
		c.Caption += void
	}
	p.finish(&c, all, x, y)
	return c, true
}

// familySeries has one line for each subject that counts in a scenario, and the
// largest value of all.
func (p *plotter) familySeries(f family) (all []series, most float64) {
	for _, name := range drawn(p.names) {
		line := series{subject: name}
		for _, s := range f.scenarios {
			row := p.report.Row(s.Name, name)
			spread := row.Spread(f.figure)
			if row.WhyVoid() != "" || spread.Count == 0 {
				continue
			}
			most = max(most, spread.Max)
			tip := fmt.Sprintf("%s, %s: %s", name, plural(s.Load.Connections, "connection"), value(f.figure, spread.Median))
			line.points = append(line.points, point{float64(s.Load.Connections), spread, tip})
		}
		if len(line.points) > 0 {
			all = append(all, line)
		}
	}
	return all, most
}

// finish draws the series and names them.
func (p *plotter) finish(c *chart, all []series, x, y scale) {
	c.draw(all, p.looks, x, y)
	var names, words []string
	for _, s := range all {
		names = append(names, s.subject)
		words = append(words, s.points[len(s.points)-1].tip)
	}
	c.explain(p.ordered(names), p.looks, words)
}

// sentence makes one of a description.
func sentence(words string) string {
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:] + "."
}
