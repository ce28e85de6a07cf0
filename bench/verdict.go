package bench

import (
	"fmt"
	"math"
)

// Outcome is how a goal ended.
type Outcome string

// The outcomes.
const (
	Reached  Outcome = "reached"
	Missed   Outcome = "missed"
	Unjudged Outcome = "cannot be judged"
)

// rounding is what division may be off by: 330 is 1.1 × 300.
const rounding = 1e-9

// Verdict is what became of one goal.
type Verdict struct {
	Goal   Goal
	Value  float64 // sluice's median; of LongestGCPause the longest of all rounds
	Peer   string  // the best peer in Goal.Figure; empty: there is none
	Best   float64 // its median
	Ratio  float64 // Value by Best, of medians
	Result Outcome

	// Off is how far a missed goal is away, as a share of what is wanted:
	// 0.04 for a ratio of 1.056 where at least 1.1 is. Of two misses the
	// larger one.
	Off float64
	Why string // of Unjudged
}

// Verdicts judges the goals of a scenario, in their order, on medians alone: a
// noisy machine moves single rounds.
func (r *Report) Verdicts(s *Scenario) []Verdict {
	verdicts := make([]Verdict, 0, len(s.Goals))
	for _, goal := range s.Goals {
		verdicts = append(verdicts, r.judge(s.Name, goal))
	}
	return verdicts
}

func (r *Report) judge(scenario string, goal Goal) Verdict {
	row, peer := r.Row(scenario, Sluice), r.BestPeer(scenario, goal.Figure)
	v := Verdict{Goal: goal, Value: row.Spread(goal.Figure).Median, Best: peer.Spread(goal.Figure).Median}
	if goal.Figure == LongestGCPause {
		v.Value = row.Spread(goal.Figure).Max
	}
	if peer != nil {
		v.Peer = peer.Subject
	}
	v.Ratio = quotient(v.Value, v.Best)
	if v.Why = v.obstacle(row.WhyVoid()); v.Why != "" {
		v.Result = Unjudged
		return v
	}
	if v.Off = max(v.offRatio(), v.offLimit()); v.Off > rounding {
		v.Result = Missed
		return v
	}
	v.Off, v.Result = 0, Reached
	return v
}

// obstacle says why the goal cannot be judged, given why sluice's row is void.
func (v *Verdict) obstacle(void string) string {
	switch {
	case void != "":
		return fmt.Sprintf("%s: %s", Sluice, void)
	case math.IsNaN(v.Value):
		return fmt.Sprintf("%s has no %s", Sluice, v.Goal.Figure)
	case v.Goal.Ratio == 0 && v.Goal.Limit == 0:
		return "the goal names neither a ratio nor a limit"
	case v.Goal.Ratio == 0 || v.offLimit() > 0:
		return "" // a limit that is missed needs no peer
	case v.Peer == "":
		return "no peer to compare with"
	case math.IsNaN(v.Ratio):
		return fmt.Sprintf("%s of %s is %v, which no ratio can be taken of", v.Goal.Figure, v.Peer, v.Best)
	}
	return ""
}

func (v *Verdict) offRatio() float64 {
	if v.Goal.Ratio == 0 || math.IsNaN(v.Ratio) {
		return 0
	}
	off := v.Ratio/v.Goal.Ratio - 1
	if v.Goal.Figure.MoreIsBetter() {
		off = -off
	}
	return max(off, 0)
}

func (v *Verdict) offLimit() float64 {
	if v.Goal.Limit == 0 {
		return 0
	}
	return max(v.Value/v.Goal.Limit-1, 0)
}
