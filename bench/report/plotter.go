package report

import (
	"strings"

	"github.com/sluiceproxy/sluice/bench"
)

// plotter makes the charts of one report.
type plotter struct {
	report *bench.Report
	names  []string // of all subjects
	looks  map[string]look
}

func newPlotter(r *bench.Report) *plotter {
	names := subjectNames(r)
	return &plotter{r, names, looks(names)}
}

// chapter is a heading with charts under it.
type chapter struct {
	ID, Title string
	Charts    []chart
}

func (c *chapter) add(plot chart, ok bool) {
	if ok {
		c.Charts = append(c.Charts, plot)
	}
}

// chapters are all charts that the report has data for.
func (p *plotter) chapters() []chapter {
	var kept []chapter
	for _, c := range []chapter{p.throughput(), p.cpu(), p.latency(), p.memory()} {
		if len(c.Charts) > 0 {
			kept = append(kept, c)
		}
	}
	return kept
}

func (p *plotter) throughput() chapter {
	c := chapter{ID: "throughput", Title: "Throughput"}
	for _, f := range p.families(bench.Requests, bench.AnswersPerSecond) {
		first := f.scenarios[0]
		id := "throughput-" + slug(string(first.Mode)) + "-" + slug(string(first.Load.Protocol)) + "-" + slug(size(uint64(first.Load.Size)))
		plot := canvas(id, "Requests per second against connections")
		plot.Caption = "Requests and responses of " + size(uint64(first.Load.Size)) + ", " + modeWords(first.Mode) + "; more is better."
		c.add(p.familyPlot(plot, f, true))
	}
	for _, b := range []struct {
		kind   bench.Kind
		figure bench.Figure
		title  string
	}{
		{bench.Requests, bench.AnswersPerSecond, "Requests per second"},
		{bench.Connections, bench.OpenedPerSecond, "New connections per second"},
		{bench.Streams, bench.BitsPerSecond, "Bulk throughput"},
	} {
		c.add(p.barPlot(chart{ID: "rate-" + string(b.kind), Title: b.title, Caption: "More is better."}, b.figure, p.closedLoop(b.kind)))
	}
	return c
}

func (p *plotter) cpu() chapter {
	c := chapter{ID: "cpu", Title: "CPU"}
	for _, kind := range []bench.Kind{bench.Requests, bench.Connections, bench.Streams} {
		figure, _ := unitCost(kind)
		plot := chart{ID: "cpu-" + string(kind), Title: nameOf(figure),
			Caption: "Processor time of the proxy's processes, user and system; less is better. Without a proxy there is none."}
		c.add(p.barPlot(plot, figure, p.ofKind(kind)))
	}
	return c
}

func (p *plotter) latency() chapter {
	c := chapter{ID: "latency", Title: "Latency"}
	for i := range p.report.Scenarios {
		c.add(p.latencyPlot(&p.report.Scenarios[i]))
	}
	return c
}

func (p *plotter) memory() chapter {
	c := chapter{ID: "memory", Title: "Memory"}
	for _, f := range p.families(bench.Idle, bench.RSS) {
		plot := canvas("memory-"+slug(string(f.scenarios[0].Mode)), "Memory against idle connections")
		plot.Caption = "RSS of the proxy's processes, " + modeWords(f.scenarios[0].Mode) + "; less is better."
		c.add(p.familyPlot(plot, f, false))
	}
	plot := chart{ID: "memory-per-connection", Title: "Memory of an idle connection",
		Caption: "RSS of the proxy's processes above what they had before the first connection, by connection; less is better."}
	c.add(p.barPlot(plot, bench.RSSPerOpened, p.ofKind(bench.Idle)))
	return c
}

func (p *plotter) ofKind(kind bench.Kind) []*bench.Scenario {
	var all []*bench.Scenario
	for i := range p.report.Scenarios {
		if s := &p.report.Scenarios[i]; s.Load.Kind == kind {
			all = append(all, s)
		}
	}
	return all
}

// closedLoop leaves out scenarios whose rate was given: it is no result.
func (p *plotter) closedLoop(kind bench.Kind) []*bench.Scenario {
	var all []*bench.Scenario
	for _, s := range p.ofKind(kind) {
		if s.Load.Rate == 0 && s.Of == "" {
			all = append(all, s)
		}
	}
	return all
}

// counting names the subjects whose row of the scenario counts, in the order to
// draw them, and says in a sentence whose does not.
func (p *plotter) counting(s *bench.Scenario) (names []string, void string) {
	var left []string
	for _, name := range drawn(p.names) {
		row := p.report.Row(s.Name, name)
		switch {
		case row == nil:
		case row.WhyVoid() != "":
			left = append(left, name)
		default:
			names = append(names, name)
		}
	}
	if len(left) > 0 {
		void = " Without " + strings.Join(left, " and ") + " in “" + s.Title + "”, void there."
	}
	return names, void
}
