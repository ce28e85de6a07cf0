package rules

import (
	"fmt"
	"slices"
	"strings"
)

// tableState is one table as it stands or is to stand: our chains, and the
// rules of the built-in chains in their order, ours among those of others.
type tableState struct {
	name     string
	chains   []Chain
	builtins []builtin
}

type builtin struct {
	name  string
	rules []builtinRule
}

type builtinRule struct {
	spec string // without "-A NAME"
	ours bool
}

func (b builtin) ours() []string {
	var specs []string
	for _, r := range b.rules {
		if r.ours {
			specs = append(specs, r.spec)
		}
	}
	return specs
}

// rules of a built-in chain; none when it is not there.
func (s *tableState) rules(name string) []builtinRule {
	for _, b := range s.builtins {
		if b.name == name {
			return b.rules
		}
	}
	return nil
}

func (s *tableState) chain(name string) *Chain {
	for i := range s.chains {
		if s.chains[i].Name == name {
			return &s.chains[i]
		}
	}
	return nil
}

// empty reports whether nothing of ours is in the table.
func (s *tableState) empty() bool {
	jumps := slices.ContainsFunc(s.builtins, func(b builtin) bool { return len(b.ours()) > 0 })
	return len(s.chains) == 0 && !jumps
}

// with returns the state in which exactly want is ours. The rules of others
// keep their order. Ours keep the place that they have among them; new ones
// come last, so that a user's own earlier rule wins, as with istio-iptables.
func (s *tableState) with(want Table) tableState {
	next := tableState{name: s.name, chains: want.Chains}
	names := []string{}
	for _, b := range s.builtins {
		names = append(names, b.name)
	}
	for _, j := range want.Jumps {
		if !slices.Contains(names, j.From) {
			names = append(names, j.From)
		}
	}
	for _, name := range names {
		var jumps []builtinRule
		for _, j := range want.Jumps {
			if j.From == name {
				jumps = append(jumps, builtinRule{j.Rule, true})
			}
		}
		next.builtins = append(next.builtins, builtin{name, replaceOurs(s.rules(name), jumps)})
	}
	return next
}

func replaceOurs(rules, ours []builtinRule) []builtinRule {
	place := slices.IndexFunc(rules, func(r builtinRule) bool { return r.ours })
	if place < 0 {
		place = len(rules)
	}
	var out []builtinRule
	for i, r := range rules {
		if i == place {
			out = append(out, ours...)
		}
		if !r.ours {
			out = append(out, r)
		}
	}
	if place == len(rules) {
		out = append(out, ours...)
	}
	return out
}

// transition is the iptables-restore --noflush text that leads from one state
// of a table to another; the kernel takes it as a whole or not at all. Rules
// of others are not named in it, so that one added meanwhile is not lost. It
// is "" when neither state has anything of ours.
func transition(from, to *tableState) string {
	if from.empty() && to.empty() {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%s\n", to.name)
	// Naming a chain makes it or, with --noflush, empties it.
	for _, c := range to.chains {
		fmt.Fprintf(&b, ":%s - [0:0]\n", c.Name)
	}
	gone := goneChains(from, to)
	for _, name := range gone {
		fmt.Fprintf(&b, ":%s - [0:0]\n", name)
	}
	for _, was := range from.builtins {
		if !slices.Equal(was.rules, to.rules(was.name)) {
			for _, spec := range was.ours() {
				fmt.Fprintf(&b, "-D %s %s\n", was.name, spec)
			}
		}
	}
	for _, is := range to.builtins {
		if !slices.Equal(from.rules(is.name), is.rules) {
			writeJumps(&b, is)
		}
	}
	for _, c := range to.chains {
		for _, spec := range c.Rules {
			fmt.Fprintf(&b, "-A %s %s\n", c.Name, spec)
		}
	}
	for _, name := range gone {
		fmt.Fprintf(&b, "-X %s\n", name)
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// writeJumps puts our rules back to their place: by number when a rule of
// another follows, else at the end. Before the first one is written none of
// ours is left in the chain.
func writeJumps(b *strings.Builder, chain builtin) {
	last := len(chain.rules)
	for last > 0 && chain.rules[last-1].ours {
		last--
	}
	for i, r := range chain.rules {
		switch {
		case !r.ours:
		case i < last:
			fmt.Fprintf(b, "-I %s %d %s\n", chain.name, i+1, r.spec)
		default:
			fmt.Fprintf(b, "-A %s %s\n", chain.name, r.spec)
		}
	}
}

func goneChains(from, to *tableState) []string {
	var gone []string
	for _, c := range from.chains {
		if to.chain(c.Name) == nil {
			gone = append(gone, c.Name)
		}
	}
	return gone
}
