package rules

import (
	"fmt"
	"slices"
	"strings"
)

// step is one change of the host and the way back.
type step struct {
	do, undo command
}

// hostState is what was found in the kernel.
type hostState struct {
	tables map[Family]map[string]*tableState
	routes map[Family]routeState
}

// plan lists what leads from the found state to the wanted one. A family that
// no set names is to have nothing of ours.
func plan(found hostState, sets []RuleSet) []step {
	var first, tables, last []step
	for _, f := range []Family{IPv4, IPv6} {
		set := RuleSet{Family: f}
		if i := slices.IndexFunc(sets, func(s RuleSet) bool { return s.Family == f }); i >= 0 {
			set = sets[i]
		}
		adds, removals := found.routes[f].routeSteps(set)
		first, last = append(first, adds...), append(last, removals...)
		for _, name := range tableNames() {
			from := found.tables[f][name]
			if from == nil {
				from = &tableState{name: name}
			}
			to := from.with(set.table(name))
			if s := tableStep(f, from, &to); s.do.stdin != "" {
				tables = append(tables, s)
			}
		}
	}
	return slices.Concat(first, tables, last)
}

// table is what the set has in a table; no chains when it has nothing there.
func (s RuleSet) table(name string) Table {
	for _, t := range s.Tables {
		if t.Name == name {
			return t
		}
	}
	return Table{Name: name}
}

func tableStep(f Family, from, to *tableState) step {
	return step{do: restoreCommand(f, transition(from, to)), undo: restoreCommand(f, transition(to, from))}
}

func restoreCommand(f Family, text string) command {
	return command{name: f.restoreTool(), args: []string{"--noflush", lockWait}, stdin: text}
}

// Text renders the rule sets as they are installed on a host that has none
// yet. Everything but the input of iptables-restore and ip6tables-restore is
// a comment.
func Text(sets []RuleSet) string { return renderSteps(plan(hostState{}, sets)) }

// renderOrNothing says so when there is nothing to do.
func renderOrNothing(steps []step) string {
	if len(steps) == 0 {
		return "# nothing to do\n"
	}
	return renderSteps(steps)
}

func renderSteps(steps []step) string {
	var b strings.Builder
	for i, s := range steps {
		if s.do.stdin != "" && i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "# %s\n%s", s.do, s.do.stdin)
	}
	return b.String()
}
