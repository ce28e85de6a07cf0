package rules

import (
	"context"
	"fmt"
	"slices"
)

// letGo stands first in a chain that would capture a new connection, while the
// rules are paused. None of our chains begins with it otherwise.
const letGo = "-j RETURN"

// captures reports whether new connections are captured by a chain of ours: in
// nat, which sees the first packet of a connection only, and by TPROXY, to which
// packets of known connections do not come (ISTIO_DIVERT has them).
func captures(table, chain string) bool {
	if table == tableMangle {
		return chain == chainTProxy
	}
	return chain == chainInbound || chain == chainOutput
}

// Pause has the rules capture no new connection. Those that were captured go on:
// Clean would end them where nothing else in the network namespace uses
// conntrack, because the kernel stops to translate with the last rule that does
// (nf_ct_netns_put). Nothing applied is no error, and neither is paused already.
func (h Host) Pause(ctx context.Context) error { return h.setPaused(ctx, true) }

// Resume takes back what Pause did.
func (h Host) Resume(ctx context.Context) error { return h.setPaused(ctx, false) }

func (h Host) setPaused(ctx context.Context, paused bool) error {
	steps, err := h.pauseSteps(ctx, paused)
	if err != nil {
		return err
	}
	return h.execute(ctx, steps)
}

// DryRunPause returns as text what Pause or Resume would do, and changes nothing.
func (h Host) DryRunPause(ctx context.Context, paused bool) (string, error) {
	steps, err := h.pauseSteps(ctx, paused)
	if err != nil {
		return "", err
	}
	return renderOrNothing(steps), nil
}

func (h Host) pauseSteps(ctx context.Context, paused bool) ([]step, error) {
	found, err := h.read(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the rules that stand: %w", err)
	}
	var steps []step
	for _, f := range []Family{IPv4, IPv6} {
		for _, name := range tableNames() {
			if from := found.tables[f][name]; from != nil {
				if to, changed := from.paused(paused); changed {
					steps = append(steps, tableStep(f, from, &to))
				}
			}
		}
	}
	return steps, nil
}

// paused returns the state in which the chains that capture do so, or do not, and
// whether that is another than this one.
func (s *tableState) paused(paused bool) (next tableState, changed bool) {
	next = tableState{name: s.name, builtins: s.builtins, chains: slices.Clone(s.chains)}
	for i, c := range next.chains {
		if !captures(s.name, c.Name) {
			continue
		}
		is := len(c.Rules) > 0 && c.Rules[0] == letGo
		switch {
		case is && !paused:
			next.chains[i].Rules = c.Rules[1:]
		case !is && paused:
			next.chains[i].Rules = slices.Insert(slices.Clone(c.Rules), 0, letGo)
		default:
			continue
		}
		changed = true
	}
	return next, changed
}
