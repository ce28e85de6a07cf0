package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestVerdicts(t *testing.T) {
	type verdictCase struct {
		name   string
		goal   Goal
		sluice uint64 // answers
		nginx  uint64 // 0: there is no nginx
		want   Outcome
		off    float64
	}
	for _, c := range []verdictCase{
		{"more, reached", Goal{Figure: AnswersPerSecond, Ratio: 1.1}, 112, 100, Reached, 0},
		{"more, just reached", Goal{Figure: AnswersPerSecond, Ratio: 1.5}, 150, 100, Reached, 0},
		{"more, missed", Goal{Figure: AnswersPerSecond, Ratio: 1.25}, 100, 100, Missed, 0.2},
		{"less, reached", Goal{Figure: CPUPerAnswer, Ratio: 1}, 100, 100, Reached, 0},
		{"less, missed", Goal{Figure: CPUPerAnswer, Ratio: 0.8}, 100, 100, Missed, 0.25},
		{"limit, reached without a peer", Goal{Figure: CPUPerAnswer, Limit: 2e-6}, 100, 0, Reached, 0},
		{"limit, missed", Goal{Figure: CPUPerAnswer, Limit: 0.5e-6}, 100, 0, Missed, 1},
		{"both, ratio missed", Goal{Figure: CPUPerAnswer, Ratio: 0.8, Limit: 2e-6}, 100, 100, Missed, 0.25},
		{"both, limit missed by more", Goal{Figure: CPUPerAnswer, Ratio: 0.8, Limit: 0.5e-6}, 100, 100, Missed, 1},
		{"both, limit reached, no peer", Goal{Figure: CPUPerAnswer, Ratio: 0.8, Limit: 2e-6}, 100, 0, Unjudged, 0},
		{"both, limit missed, no peer", Goal{Figure: CPUPerAnswer, Ratio: 0.8, Limit: 0.5e-6}, 100, 0, Missed, 1},
		{"no peer", Goal{Figure: AnswersPerSecond, Ratio: 1.1}, 100, 0, Unjudged, 0},
		{"no number", Goal{Figure: P99, Ratio: 1.1}, 100, 100, Unjudged, 0},
		{"no goal", Goal{Figure: AnswersPerSecond}, 100, 100, Unjudged, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := Report{Rows: []Row{row(Sluice, answers(1, c.sluice)), row(Direct, answers(1, 10000))}}
			if c.nginx > 0 {
				report.Rows = append(report.Rows, row(Nginx, answers(1, c.nginx)))
			}
			v := report.Verdicts(&Scenario{Name: "s", Goals: []Goal{c.goal}})[0]
			if v.Result != c.want || !same(v.Off, c.off) || (v.Result == Unjudged) != (v.Why != "") {
				t.Errorf("%+v, want %s, off by %v", v, c.want, c.off)
			}
		})
	}
}

func TestVerdictNamesThePeer(t *testing.T) {
	report := Report{Rows: []Row{row(Sluice, answers(1, 330)), row(Nginx, answers(1, 200)), row(Envoy, answers(1, 300))}}
	v := report.Verdicts(&Scenario{Name: "s", Goals: []Goal{{Figure: AnswersPerSecond, Ratio: 1.1}}})[0]
	if v.Peer != Envoy || v.Value != 330 || v.Best != 300 || !same(v.Ratio, 1.1) {
		t.Errorf("%+v, want 330 against envoy's 300", v)
	}
}

func TestVerdictOfVoidRow(t *testing.T) {
	mine := row(Sluice, answers(1, 900))
	mine.Void = "12 × reset"
	report := Report{Rows: []Row{mine, row(Nginx, answers(1, 100))}}
	v := report.Verdicts(&Scenario{Name: "s", Goals: []Goal{{Figure: AnswersPerSecond, Ratio: 1.1}}})[0]
	if v.Result != Unjudged || !strings.Contains(v.Why, "12 × reset") {
		t.Errorf("%+v, want it not judged, because of 12 × reset", v)
	}
}

func TestVerdictOfPeerWithoutMemory(t *testing.T) {
	idle := func(number int, grown uint64) Round {
		return Round{Number: number, Measure: Measure{Load: Load{Kind: Idle}, Opened: 1,
			Proxy: Usage{Processes: 1, Before: Memory{RSS: 100}, Memory: Memory{RSS: 100 + grown}}}}
	}
	report := Report{Rows: []Row{row(Sluice, idle(1, 50)), row(Nginx, idle(1, 0))}}
	v := report.Verdicts(&Scenario{Name: "s", Goals: []Goal{{Figure: RSSPerOpened, Ratio: 0.35}}})[0]
	if v.Result != Unjudged || !math.IsNaN(v.Ratio) || !strings.Contains(v.Why, Nginx) {
		t.Errorf("%+v, want it not judged", v)
	}
}

func TestVerdictOfGCPauseTakesTheLongest(t *testing.T) {
	mine := row(Sluice, answers(1, 1), answers(2, 1), answers(3, 1))
	mine.Rounds[0].GCPause, mine.Rounds[2].GCPause = 200*time.Microsecond, 1500*time.Microsecond
	report := Report{Rows: []Row{mine}}
	v := report.Verdicts(&Scenario{Name: "s", Goals: []Goal{{Figure: LongestGCPause, Limit: 1e-3}}})[0]
	if v.Result != Missed || !same(v.Value, 1.5e-3) || !same(v.Off, 0.5) {
		t.Errorf("%+v, want missed by half with 1.5 ms", v)
	}
}
