package listener

import (
	"fmt"

	"github.com/sluiceproxy/sluice/config"
)

// Warnings says where a choice that is never taken back does what a reader of
// the configuration may not expect, each with a connection that shows it: a
// chain that is never chosen, or that fits connections which no chain takes
// because another one was more specific about an earlier criterion. Lines
// begin with the path of the chain, such as filter_chains[2].match.
//
// Each warning is true: its connection has been looked up. Not each such
// connection is found; most combinations of up to a hundred thousand chains
// are looked at, and it takes up to some seconds then. It is for validation,
// not for loops.
func (x *Index) Warnings() []string {
	a := &audit{index: x, witness: newWitness(x), left: maxTries, found: make(map[fallKey]*fall)}
	a.findUnreachable()
	b := newBuilder(x.chains, x.hasDefault)
	b.visit = func(at level, chains []int32) { a.group(b.trail, at, chains) }
	b.build(destinationPort, b.ordinals())
	return a.lines()
}

// maxTries bounds the time that Warnings takes, maxWarnings its length.
const (
	maxTries    = 1 << 19
	maxWarnings = 100
)

// audit collects what Warnings says.
type audit struct {
	index       *Index
	witness     *witness
	unreachable []string
	left        int // of maxTries
	found       map[fallKey]*fall
	order       []fallKey
}

// fallKey joins what is said in one line: connections that a chain lost by one
// criterion.
type fallKey struct {
	loser int32
	by    level
}

// fall is the first connection found for a key.
type fall struct {
	facts  Facts
	winner int32
	value  any
	more   int // further values with which it is the same
}

// pair is two chains that a connection fits as far as the search has come; the
// winner names a more specific value.
type pair struct {
	at            level
	value         any
	winner, loser int32
}

// try looks for a connection that fits the loser and that nothing takes.
func (a *audit) try(trail []step, p pair) {
	if a.left == 0 {
		return
	}
	a.left--
	key := fallKey{p.loser, p.at}
	m := &a.index.chains[p.loser].Match
	from := p.at + 1
	if p.at == applicationProtocol && len(m.ApplicationProtocols) > 0 {
		from = p.at // the client offers both
	}
	steps := append(trail[:len(trail):len(trail)], step{p.at, p.value})
	for _, f := range variants(a.witness.connection(steps, m, from)) {
		if a.index.Match(&f) != NoMatch || !fits(m, &f) {
			continue
		}
		if known := a.found[key]; known != nil {
			known.more++
			return
		}
		a.found[key] = &fall{facts: f, winner: p.winner, value: p.value}
		a.order = append(a.order, key)
		return
	}
}

// variants of a connection in what its steps leave open.
func variants(f Facts) []Facts {
	list := []Facts{f}
	if f.TransportProtocol == "" {
		list[0].TransportProtocol = config.TransportTLS
		if f.ServerName == "" {
			list = append(list, list[0])
			list[0].TransportProtocol = config.TransportRawBuffer
		}
	}
	if !f.local() {
		local := list[0]
		local.Source = f.Destination
		local.DirectSource = f.Destination.Addr()
		list = append(list, local)
	}
	return list
}

func (a *audit) lines() []string {
	lines := a.unreachable
	for _, key := range a.order {
		lines = append(lines, a.line(key, a.found[key]))
	}
	if n := len(lines) - maxWarnings; n > 0 {
		lines = append(lines[:maxWarnings], fmt.Sprintf("filter_chains: %d more warnings like these are left out", n))
	}
	if a.left == 0 {
		lines = append(lines, "filter_chains: there are too many chains to compare all of them; more connections may match no chain")
	}
	return lines
}

func (a *audit) line(key fallKey, f *fall) string {
	end := "is reset"
	if a.index.hasDefault {
		end = "goes to default_filter_chain"
	}
	more := ""
	switch f.more {
	case 0:
	case 1:
		more = " (1 more value too)"
	default:
		more = fmt.Sprintf(" (%d more values too)", f.more)
	}
	return fmt.Sprintf("filter_chains[%d].match: chain %q fits connections that no chain takes: %s %s, because %s %v%s leads to chain %q (filter_chains[%d]), which does not fit, and the choice is not taken back",
		key.loser, a.index.chains[key.loser].Name, a.witness.describe(&f.facts), end, key.by, f.value, more, a.index.chains[f.winner].Name, f.winner)
}

// findUnreachable looks for chains that no search ends at.
func (a *audit) findUnreachable() {
	reached := a.index.reached()
	for i := range a.index.chains {
		c := &a.index.chains[i]
		path := fmt.Sprintf("filter_chains[%d].match: chain %q is never chosen: ", i, c.Name)
		if len(c.Match.ServerNames) > 0 && c.Match.TransportProtocol == config.TransportRawBuffer {
			a.unreachable = append(a.unreachable, path+"server_names are known of TLS only, and transport_protocol is raw_buffer")
			continue
		}
		if reached[i] {
			continue
		}
		f := variants(a.witness.connection(nil, &c.Match, destinationPort))[0]
		end := "matches no chain"
		if got := a.index.Match(&f); got != NoMatch {
			end = fmt.Sprintf("goes to chain %q (filter_chains[%d])", a.index.chains[got].Name, got)
		}
		a.unreachable = append(a.unreachable, path+fmt.Sprintf("whatever fits it also fits a more specific value of another chain; %s, for example, %s", a.witness.describe(&f), end))
	}
}
