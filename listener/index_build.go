package listener

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/sluiceproxy/sluice/config"
)

// builder makes an Index from the root down: at each level the chains that
// are still possible are grouped by the value they name, and each group goes
// on by itself.
type builder struct {
	index    *Index
	chains   []config.FilterChain
	built    map[string]ref // by level and chains, see key
	trail    []step         // how the group at hand is reached
	blocks   blocks
	problems config.Problems
	reported map[config.Problem]bool
	pairs    map[[2]int32]bool // chains whose overlap is reported

	// visit, if not nil, sees each group that a table is made for, with the
	// trail to it.
	visit func(at level, chains []int32)
}

// step is a value that a group of chains has been chosen by.
type step struct {
	level level
	value any
}

// wish is a value that a chain names.
type wish[T any] struct {
	value T
	chain int32
}

func newBuilder(chains []config.FilterChain, hasDefault bool) *builder {
	return &builder{
		index:    &Index{root: noChain(), chains: chains, hasDefault: hasDefault},
		chains:   chains,
		built:    make(map[string]ref),
		reported: make(map[config.Problem]bool),
		pairs:    make(map[[2]int32]bool),
	}
}

// ordinals are all chains.
func (b *builder) ordinals() []int32 {
	list := make([]int32, len(b.chains))
	for i := range list {
		list[i] = int32(i)
	}
	return list
}

// build makes the part of the tree for these chains (ascending ordinals) from
// a level on. The same chains at the same level share one part, so that a
// chain with a thousand prefixes and a thousand sources costs two thousand
// places and not a million.
func (b *builder) build(at level, chains []int32) ref {
	if len(chains) == 0 {
		return noChain()
	}
	for at < decided && !b.constrains(at, chains) {
		at++
	}
	if at == decided {
		return b.decide(chains)
	}
	k := key(at, chains)
	if to, ok := b.built[k]; ok {
		return to
	}
	if b.visit != nil {
		b.visit(at, chains)
	}
	to := b.table(at, chains)
	b.built[k] = to
	return to
}

func key(at level, chains []int32) string {
	k := make([]byte, 1, 1+4*len(chains))
	k[0] = byte(at)
	for _, c := range chains {
		k = binary.NativeEndian.AppendUint32(k, uint32(c))
	}
	return string(k)
}

// constrains tells whether any of the chains names the criterion.
func (b *builder) constrains(at level, chains []int32) bool {
	for _, c := range chains {
		m := &b.chains[c].Match
		switch at {
		case destinationPort, sourcePort:
			if len(ports(m, at)) > 0 {
				return true
			}
		case destinationPrefix, directSourcePrefix, sourcePrefix:
			if len(prefixes(m, at)) > 0 {
				return true
			}
		case serverName:
			if len(m.ServerNames) > 0 {
				return true
			}
		case transportProtocol:
			if m.TransportProtocol != "" {
				return true
			}
		case applicationProtocol:
			if len(m.ApplicationProtocols) > 0 {
				return true
			}
		case sourceType:
			if m.SourceType == config.SourceLocal || m.SourceType == config.SourceExternal {
				return true
			}
		}
	}
	return false
}

func (b *builder) table(at level, chains []int32) ref {
	switch at {
	case destinationPort, sourcePort:
		return b.portTable(at, chains)
	case serverName:
		return b.serverNames(chains)
	case transportProtocol:
		return b.transports(chains)
	case applicationProtocol:
		return b.protocols(chains)
	case sourceType:
		return b.sourceTypes(chains)
	default:
		return b.prefixTable(at, chains)
	}
}

// follow builds the next level for the chains that name value.
func (b *builder) follow(at level, value any, chains []int32) ref {
	b.trail = append(b.trail, step{at, value})
	to := b.build(at+1, chains)
	b.trail = b.trail[:len(b.trail)-1]
	return to
}

func (b *builder) portTable(at level, chains []int32) ref {
	var t portTable
	t.any = eachListed(b, at, chains, func(m *config.Match) []uint16 { return ports(m, at) }, func(port uint16, to ref) {
		t.ports = append(t.ports, port)
		t.to = append(t.to, to)
	})
	b.index.ports = append(b.index.ports, t)
	return ref{at, asksOf(t.to) | t.any.asks, int32(len(b.index.ports) - 1)}
}

// prefixTable lets chains without the criterion name all addresses of both
// families.
func (b *builder) prefixTable(at level, chains []int32) ref {
	var named []wish[netip.Prefix]
	for _, c := range chains {
		list := prefixes(&b.chains[c].Match, at)
		if len(list) == 0 {
			named = append(named,
				wish[netip.Prefix]{netip.PrefixFrom(netip.IPv4Unspecified(), 0), c},
				wish[netip.Prefix]{netip.PrefixFrom(netip.IPv6Unspecified(), 0), c})
		}
		for _, prefix := range list {
			named = append(named, wish[netip.Prefix]{prefix, c})
		}
	}
	var entries []entry
	eachGroup(b, at, named, netip.Prefix.Compare, func(prefix netip.Prefix, group []int32) {
		entries = append(entries, entry{prefix, b.follow(at, prefix, group)})
	})
	b.index.prefixes = append(b.index.prefixes, newPrefixTable(entries))
	var all asks
	for _, e := range entries {
		all |= e.to.asks
	}
	return ref{at, all, int32(len(b.index.prefixes) - 1)}
}

func (b *builder) sourceTypes(chains []int32) ref {
	groups := make(map[config.SourceType][]int32, 3)
	for _, c := range chains {
		t := b.chains[c].Match.SourceType
		if t == "" {
			t = config.SourceAny
		}
		groups[t] = append(groups[t], c)
	}
	either := b.build(sourceType+1, groups[config.SourceAny])
	t := sourceTypes{local: either, external: either}
	if group := groups[config.SourceLocal]; len(group) > 0 {
		t.local = b.follow(sourceType, config.SourceLocal, group)
	}
	if group := groups[config.SourceExternal]; len(group) > 0 {
		t.external = b.follow(sourceType, config.SourceExternal, group)
	}
	b.index.sourceTypes = append(b.index.sourceTypes, t)
	return ref{level: sourceType, index: int32(len(b.index.sourceTypes) - 1)}
}

// eachListed calls do for each value that the chains list, in order, and
// returns where a connection with none of them goes.
func eachListed[T cmp.Ordered](b *builder, at level, chains []int32, values func(*config.Match) []T, do func(T, ref)) ref {
	var named []wish[T]
	var unnamed []int32
	for _, c := range chains {
		list := values(&b.chains[c].Match)
		if len(list) == 0 {
			unnamed = append(unnamed, c)
		}
		for _, value := range list {
			named = append(named, wish[T]{value, c})
		}
	}
	unlisted := b.build(at+1, unnamed)
	eachGroup(b, at, named, cmp.Compare, func(value T, group []int32) { do(value, b.follow(at, value, group)) })
	return unlisted
}

// eachGroup calls do for each value in order, with the chains that name it.
func eachGroup[T comparable](b *builder, at level, named []wish[T], compare func(T, T) int, do func(T, []int32)) {
	slices.SortFunc(named, func(x, y wish[T]) int {
		return cmp.Or(compare(x.value, y.value), cmp.Compare(x.chain, y.chain))
	})
	var group []int32
	for i, w := range named {
		if len(group) > 0 && group[len(group)-1] == w.chain {
			b.reportRepeat(w.chain, at, w.value)
		} else {
			group = append(group, w.chain)
		}
		if i+1 == len(named) || named[i+1].value != w.value {
			do(w.value, group)
			group = group[:0]
		}
	}
}

// ports are the values of a level of ports that a chain names.
func ports(m *config.Match, at level) []uint16 {
	if at == sourcePort {
		return m.SourcePorts
	}
	if m.DestinationPort == 0 {
		return nil
	}
	return []uint16{m.DestinationPort}
}

// prefixes are the values of a level of addresses that a chain names.
func prefixes(m *config.Match, at level) []netip.Prefix {
	switch at {
	case destinationPrefix:
		return m.PrefixRanges
	case directSourcePrefix:
		return m.DirectSourcePrefixRanges
	default:
		return m.SourcePrefixRanges
	}
}
