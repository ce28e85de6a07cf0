package report

import (
	"slices"

	"github.com/sluiceproxy/sluice/bench"
)

// drawnBar is a bar with its places; Low and High are the ends of its whisker.
type drawnBar struct {
	Look                 look
	Strong               bool
	Subject, Value, Tip  string
	Y, Thick, X0, Length float64
	Low, High            float64
	End                  float64 // where Value stands, behind bar and whisker
}

// Heights of what a bar chart is stacked of.
const (
	groupHeight = 26
	barHeight   = 22
	barThick    = 14
)

// barPlot shows a figure by subject, a group of bars for each scenario; ok is
// false when nobody has it.
func (p *plotter) barPlot(c chart, f bench.Figure, scenarios []*bench.Scenario) (chart, bool) {
	c.Area = area{Left: 84, Top: 8, Right: 540}
	most := p.most(f, scenarios)
	u := unitOf(f, most)
	x, at := fromZero(most, u.by)
	y := c.Area.Top
	var names, words []string
	for _, s := range scenarios {
		bars, void := p.bars(s, f)
		if len(bars) == 0 {
			continue
		}
		c.Caption += void
		c.Groups = append(c.Groups, text{y + groupHeight - 9, s.Title})
		y += groupHeight
		for _, b := range bars {
			b.place(c.Area, x, y)
			y += barHeight
			c.Bars = append(c.Bars, b.drawnBar)
			names, words = append(names, b.Subject), append(words, b.Tip)
		}
		y += 6
	}
	c.Area.Bottom = y
	c.Width, c.Height = 640, y+46
	c.XName = nameOf(f)
	c.XTicks = ticks(at, x, c.Area.x, func(v float64) string { return short(f, v, u) })
	c.explain(p.ordered(names), p.looks, words)
	return c, len(c.Bars) > 0
}

// most is the largest value that a bar or whisker has to reach.
func (p *plotter) most(f bench.Figure, scenarios []*bench.Scenario) float64 {
	most := 0.0
	for _, s := range scenarios {
		subjects, _ := p.counting(s)
		for _, name := range subjects {
			if spread := p.report.Row(s.Name, name).Spread(f); spread.Count > 0 {
				most = max(most, spread.Max)
			}
		}
	}
	return most
}

// bar is a drawnBar before it has a place.
type bar struct {
	drawnBar
	spread bench.Spread
}

// bars are those of one scenario, in the order of subjects, and who is missing
// because its row does not count.
func (p *plotter) bars(s *bench.Scenario, f bench.Figure) ([]bar, string) {
	var all []bar
	subjects, void := p.counting(s)
	for _, name := range p.ordered(subjects) {
		spread := p.report.Row(s.Name, name).Spread(f)
		if spread.Count == 0 {
			continue
		}
		words := value(f, spread.Median)
		all = append(all, bar{drawnBar{Look: p.looks[name], Strong: name == bench.Sluice, Subject: name,
			Value: words, Tip: s.Title + ", " + name + ": " + words}, spread})
	}
	return all, void
}

// place computes where the bar goes, y being its row's upper edge.
func (b *bar) place(a area, x scale, y float64) {
	b.Thick = barThick
	if b.Strong {
		b.Thick = barThick + 4
	}
	b.Y = round(y + (barHeight-b.Thick)/2)
	b.X0 = a.Left
	b.Length = max(round(a.x(x.at(b.spread.Median))-a.Left), 1)
	b.Low, b.High = a.x(x.at(b.spread.Min)), a.x(x.at(b.spread.Max))
	b.End = max(b.X0+b.Length, b.High) + 7
}

// Middle is the height at which the whisker and the words stand.
func (b drawnBar) Middle() float64 { return b.Y + b.Thick/2 }

// ordered sorts names as the report lists subjects, each once.
func (p *plotter) ordered(names []string) []string {
	var sorted []string
	for _, name := range p.names {
		if slices.Contains(names, name) {
			sorted = append(sorted, name)
		}
	}
	return sorted
}
