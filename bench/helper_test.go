package bench

import (
	"math"
	"time"
)

// answers is a round of one second with that many answers, each of which cost
// the proxy a microsecond.
func answers(number int, n uint64) Round {
	return Round{Number: number, Measure: Measure{
		Load: Load{Kind: Requests}, Elapsed: time.Second, Answers: n,
		Proxy: Usage{User: time.Duration(n) * time.Microsecond, Processes: 1},
	}}
}

func row(subject string, rounds ...Round) Row {
	return Row{Scenario: "s", Subject: subject, Rounds: rounds}
}

// same compares as tests want it: NaN equals NaN, and rounding does not count.
func same(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))
}
