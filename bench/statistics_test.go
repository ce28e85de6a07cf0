package bench

import (
	"math"
	"testing"
	"time"
)

func TestSpreadOf(t *testing.T) {
	nan := math.NaN()
	type spreadCase struct {
		name   string
		values []float64
		want   Spread
	}
	for _, c := range []spreadCase{
		{"none", nil, Spread{nan, nan, nan, 0}},
		{"only NaN", []float64{nan, nan}, Spread{nan, nan, nan, 0}},
		{"one", []float64{3}, Spread{3, 3, 3, 1}},
		{"odd, not in order", []float64{9, 1, 5}, Spread{5, 1, 9, 3}},
		{"even", []float64{4, 1, 2, 9}, Spread{3, 1, 9, 4}},
		{"NaN and infinity among them", []float64{nan, 2, math.Inf(1), 4}, Spread{3, 2, 4, 2}},
	} {
		got := SpreadOf(c.values)
		if !same(got.Median, c.want.Median) || !same(got.Min, c.want.Min) || !same(got.Max, c.want.Max) || got.Count != c.want.Count {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestRatioIsByRoundNumber(t *testing.T) {
	a := row(Sluice, answers(1, 300), answers(2, 100), answers(3, 110), answers(4, 100))
	b := row(Nginx, answers(3, 100), answers(1, 200), answers(2, 100))
	got := a.Ratio(&b, AnswersPerSecond)
	for i, want := range []RoundRatio{{1, 1.5}, {2, 1}, {3, 1.1}, {4, math.NaN()}} {
		if got.Each[i].Number != want.Number || !same(got.Each[i].Value, want.Value) {
			t.Errorf("round %d: %+v, want %+v", i, got.Each[i], want)
		}
	}
	if !same(got.Median, 1.1) || !same(got.Min, 1) || !same(got.Max, 1.5) || got.Count != 3 {
		t.Errorf("spread %+v, want median 1.1 of 1 to 1.5 in 3 rounds", got.Spread)
	}
	if !same(got.OfMedians, 1.05) {
		t.Errorf("ratio of medians %v, want 105/100", got.OfMedians)
	}
}

func TestRatioWithoutMeaning(t *testing.T) {
	some := row(Sluice, answers(1, 300))
	none := row(Direct, Round{Number: 1, Measure: Measure{Elapsed: time.Second}})
	for name, got := range map[string]Ratio{
		"to nobody":  some.Ratio(nil, AnswersPerSecond),
		"of nobody":  (*Row)(nil).Ratio(&some, AnswersPerSecond),
		"to nothing": some.Ratio(&none, AnswersPerSecond),
		"to no CPU":  some.Ratio(&none, CPUPerAnswer),
	} {
		if !math.IsNaN(got.OfMedians) || !math.IsNaN(got.Median) {
			t.Errorf("%s: %+v, want NaN", name, got)
		}
	}
}

func TestBestPeer(t *testing.T) {
	broken := answers(1, 5000)
	broken.Measure.Errors = map[string]uint64{"reset": 1}
	costly := answers(1, 400)
	costly.Measure.Proxy.System = time.Second
	report := Report{Rows: []Row{
		row(Direct, answers(1, 9000)), row(Sluice, answers(1, 8000)),
		row(Nginx, answers(1, 300)), row(HAProxy, costly), row(Envoy, broken),
	}}
	if got := report.BestPeer("s", AnswersPerSecond); got == nil || got.Subject != HAProxy {
		t.Errorf("in answers: %+v, want haproxy: envoy has errors, direct and sluice are no peers", got)
	}
	if got := report.BestPeer("s", CPUPerAnswer); got == nil || got.Subject != Nginx {
		t.Errorf("in CPU: %+v, want nginx, where less is better", got)
	}
	if got := report.BestPeer("s", P99); got != nil {
		t.Errorf("in latency, which none has: %+v", got)
	}
	if got := report.BestPeer("another", AnswersPerSecond); got != nil {
		t.Errorf("in another scenario: %+v", got)
	}
}

func TestWhyVoid(t *testing.T) {
	broken := answers(2, 1)
	broken.Measure.Errors = map[string]uint64{"none": 0, "timeout": 3, "reset": 7}
	void, empty, errs, fine := Row{Void: "crashed"}, Row{}, row(Envoy, answers(1, 1), broken), row(Envoy, answers(1, 1))
	for want, r := range map[string]*Row{
		"was not measured": nil, "crashed": &void, "no round was measured": &empty,
		"round 2: 7 × reset": &errs, "": &fine,
	} {
		if got := r.WhyVoid(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLookUps(t *testing.T) {
	report := Report{Scenarios: []Scenario{{Name: "s"}}, Rows: []Row{row(Envoy)}}
	if report.Scenario("s") != &report.Scenarios[0] || report.Scenario("t") != nil {
		t.Error("Scenario finds the wrong one")
	}
	if report.Row("s", Envoy) != &report.Rows[0] || report.Row("s", Nginx) != nil || report.Row("t", Envoy) != nil {
		t.Error("Row finds the wrong one")
	}
}
