package listener

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/sluiceproxy/sluice/config"
)

// decide ends a search. Of several chains that are left none is better than
// the others, which is a problem.
func (b *builder) decide(chains []int32) ref {
	for _, c := range chains[1:] {
		b.reportOverlap(chains[0], c)
	}
	return ref{level: decided, index: chains[0]}
}

func (b *builder) reportOverlap(first, second int32) {
	if b.pairs[[2]int32{first, second}] {
		return
	}
	b.pairs[[2]int32{first, second}] = true
	one, other := &b.chains[first], &b.chains[second]
	what := "overlaps with"
	if reflect.DeepEqual(one.Match, other.Match) {
		what = "is the same as"
	}
	b.report(fmt.Sprintf("filter_chains[%d].match", second),
		fmt.Sprintf("of chain %q %s filter_chains[%d].match of chain %q: both take %s; make one more specific, or remove it",
			other.Name, what, first, one.Name, b.describe()))
}

func (b *builder) reportRepeat(chain int32, at level, value any) {
	b.report(fmt.Sprintf("filter_chains[%d].match.%s", chain, at),
		fmt.Sprintf("of chain %q lists %v more than once", b.chains[chain].Name, value))
}

func (b *builder) report(path, message string) {
	problem := config.Problem{Path: path, Message: message}
	if b.reported[problem] {
		return
	}
	b.reported[problem] = true
	b.problems = append(b.problems, problem)
}

// describe says which connections the group at hand takes.
func (b *builder) describe() string {
	if len(b.trail) == 0 {
		return "any connection"
	}
	words := make([]string, len(b.trail))
	for i, s := range b.trail {
		words[i] = fmt.Sprintf("%s %v", s.level, s.value)
	}
	return strings.Join(words, ", ")
}
