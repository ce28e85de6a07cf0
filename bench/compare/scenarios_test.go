package compare

import (
	"testing"

	"github.com/sluiceproxy/sluice/bench"
)

func TestForms(t *testing.T) {
	for _, form := range []Form{Short, Full, Smoke} {
		t.Run(string(form), func(t *testing.T) {
			list, rounds, err := form.Scenarios()
			if err != nil {
				t.Fatal(err)
			}
			if form != Smoke && rounds < 5 {
				t.Errorf("%d rounds: no median to trust", rounds)
			}
			before := map[string]*bench.Scenario{}
			for i := range list {
				s := &list[i]
				if err := s.Load.Validate(); err != nil {
					t.Errorf("%s: %v", s.Name, err)
				}
				if before[s.Name] != nil {
					t.Errorf("there are two scenarios %s", s.Name)
				}
				if s.Of != "" && (before[s.Of] == nil || before[s.Of].Mode != s.Mode || s.Share == 0) {
					t.Errorf("%s is a share %v of %q, which is not measured before it in the same mode", s.Name, s.Share, s.Of)
				}
				before[s.Name] = s
			}
		})
	}
	if _, _, err := Form("long").Scenarios(); err == nil {
		t.Error("there is no form long")
	}
}

func TestGoalsAreInTheShortForm(t *testing.T) {
	list, _, err := Short.Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	goals := 0
	for i := range list {
		goals += len(list[i].Goals)
	}
	if goals != 17 {
		t.Errorf("the short form judges %d goals, want 17", goals)
	}
}

func TestRateIsAShareOfTheBestPeer(t *testing.T) {
	measured := func(subject string, answers uint64) bench.Row {
		m := bench.Measure{Elapsed: 1e9, Answers: answers}
		return bench.Row{Scenario: "requests-64", Subject: subject, Rounds: []bench.Round{{Number: 1, Measure: m}}}
	}
	for _, tc := range []struct {
		name string
		rows []bench.Row
		want float64 // 0: an error
	}{
		{"of peers", []bench.Row{measured(bench.Direct, 900), measured(bench.Sluice, 500), measured(bench.Nginx, 100), measured(bench.Envoy, 200)}, 120},
		{"of sluice alone", []bench.Row{measured(bench.Direct, 900), measured(bench.Sluice, 500)}, 300},
		{"of nobody", []bench.Row{measured(bench.Direct, 900)}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			scenarios := []bench.Scenario{requests(64), openLoop()}
			c := &comparison{report: &bench.Report{Scenarios: scenarios, Rows: tc.rows}}
			err := c.setRate(&scenarios[1])
			if got := scenarios[1].Load.Rate; got != tc.want || (err == nil) != (tc.want > 0) {
				t.Errorf("rate %v (%v), want %v", got, err, tc.want)
			}
		})
	}
}

func TestSpliceAtAllTimesIsForBulk(t *testing.T) {
	_, leftOut, err := asked(nil, []bench.LeftOut{{Subject: bench.Envoy}}, []string{})
	if err != nil || len(leftOut) != 0 {
		t.Errorf("what nobody asked for is said to be left out: %v, %v", leftOut, err)
	}
	for scenario, want := range map[string]bool{"requests-64": false, "streams-8-down": true} {
		list, _, _ := Short.Scenarios()
		for i := range list {
			if list[i].Name == scenario && takesPart(bench.HAProxySplice, &list[i]) != want {
				t.Errorf("%s: haproxy-splice takes part: %t, want %t", scenario, !want, want)
			}
		}
	}
}
