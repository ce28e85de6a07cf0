// Package compare measures subjects in turn: in each round every subject gets
// the same load once, so that a machine that is slow for a while is slow for
// all. Who wins is told by medians and by ratios within a round.
//
//	scenarios, rounds, err := compare.Short.Scenarios()
//	report, err := compare.Run(ctx, compare.Options{Scenarios: scenarios, Rounds: rounds, ...})
//
// A subject that fails loses its row, not the comparison.
package compare
