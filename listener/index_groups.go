package listener

import (
	"net/netip"

	"github.com/sluiceproxy/sluice/config"
)

// group tries each value that chains of a group name against the chains which
// lose by it: those that fit the value too, but less specifically.
func (a *audit) group(trail []step, at level, chains []int32) {
	switch at {
	case destinationPort, sourcePort:
		eachPair(a, chains, func(m *config.Match) []uint16 { return ports(m, at) }, nothing, trail, at)
	case destinationPrefix, directSourcePrefix, sourcePrefix:
		eachPair(a, chains, func(m *config.Match) []netip.Prefix { return prefixes(m, at) }, widerPrefixes, trail, at)
	case serverName:
		eachPair(a, chains, nameKeys, shorterSuffixes, trail, at)
	case transportProtocol:
		eachPair(a, chains, transportProtocols, nothing, trail, at)
	case applicationProtocol:
		list := func(m *config.Match) []string { return m.ApplicationProtocols }
		eachPair(a, chains, list, otherProtocols(a.index.chains, chains), trail, at)
	case sourceType:
		eachPair(a, chains, sourceTypesOf, nothing, trail, at)
	}
}

// eachPair calls try for each value that is named and each chain that loses by
// it. Less are the values that fit whatever the value fits.
func eachPair[T comparable](a *audit, chains []int32, values func(*config.Match) []T, less func(T) []T, trail []step, at level) {
	naming := make(map[T][]int32)
	var order []T
	var unnamed []int32
	for _, c := range chains {
		list := values(&a.index.chains[c].Match)
		if len(list) == 0 {
			unnamed = append(unnamed, c)
		}
		for _, value := range list {
			if naming[value] == nil {
				order = append(order, value)
			}
			naming[value] = append(naming[value], c)
		}
	}
	for _, value := range order {
		winner := naming[value][0]
		for _, loser := range unnamed {
			a.try(trail, pair{at, value, winner, loser})
		}
		for _, wider := range less(value) {
			for _, loser := range naming[wider] {
				a.try(trail, pair{at, value, winner, loser})
			}
		}
		if a.left == 0 {
			return
		}
	}
}

func nothing[T any](T) []T { return nil }

func widerPrefixes(p netip.Prefix) []netip.Prefix {
	var list []netip.Prefix
	for bits := p.Bits() - 1; bits >= 0; bits-- {
		list = append(list, netip.PrefixFrom(p.Addr(), bits).Masked())
	}
	return list
}

func shorterSuffixes(k nameKey) []nameKey {
	var list []nameKey
	for i := 1; i < len(k); i++ {
		if k[i] == '.' {
			list = append(list, k[i:])
		}
	}
	return list
}

// otherProtocols are those that a client may offer after one.
func otherProtocols(all []config.FilterChain, chains []int32) func(string) []string {
	seen := make(map[string]bool)
	var list []string
	for _, c := range chains {
		for _, p := range all[c].Match.ApplicationProtocols {
			if !seen[p] {
				seen[p] = true
				list = append(list, p)
			}
		}
	}
	return func(first string) []string {
		var others []string
		for _, p := range list {
			if p != first {
				others = append(others, p)
			}
		}
		return others
	}
}

func sourceTypesOf(m *config.Match) []config.SourceType {
	if m.SourceType == config.SourceAny || m.SourceType == "" {
		return nil
	}
	return []config.SourceType{m.SourceType}
}

// reached tells of each chain whether any search ends at it. Ranges that
// narrower prefixes cover, and places that specific source types take, are not
// in the tables any more.
func (x *Index) reached() []bool {
	reached := make([]bool, len(x.chains))
	seen := make(map[ref]bool)
	var walk func(at ref)
	walk = func(at ref) {
		if at.level == decided {
			if at.index != NoMatch {
				reached[at.index] = true
			}
			return
		}
		if seen[at] {
			return
		}
		seen[at] = true
		for _, to := range x.next(at) {
			walk(to)
		}
	}
	walk(x.root)
	return reached
}

// next are the ways on from a table.
func (x *Index) next(at ref) []ref {
	switch at.level {
	case destinationPort, sourcePort:
		t := &x.ports[at.index]
		return append(t.to[:len(t.to):len(t.to)], t.any)
	case serverName:
		t := &x.serverNames[at.index]
		return append(t.to.refs(), t.any)
	case transportProtocol:
		t := &x.transports[at.index]
		return []ref{t.tls, t.raw, t.any}
	case applicationProtocol:
		t := &x.protocols[at.index]
		return append(t.to.refs(), t.any)
	case sourceType:
		t := &x.sourceTypes[at.index]
		return []ref{t.local, t.external}
	default:
		t := &x.prefixes[at.index]
		return append(t.to4[:len(t.to4):len(t.to4)], t.to6...)
	}
}
