package listener

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/config"
)

// Step is one criterion of a search, if it tells the chains apart that were left
// before it. Chains are their places in the configuration, ascending.
type Step struct {
	Criterion string // its key in the configuration
	Value     string // what the connection has; "" = nothing
	Named     string // the most specific value that fits and that a chain names; "" = none does: those that name no value go on
	Remaining []int
	Excluded  []int // by this step
}

// tracer tells of an index which chains each of its tables is for. The index
// itself has forgotten: it would be most of its memory.
type tracer struct {
	index  *Index
	chains map[ref][]int // that each table tells apart
}

// newTracer builds the index once more, which gives the same tables in the same
// order.
func newTracer(x *Index) *tracer {
	b := newBuilder(x.chains, x.hasDefault)
	b.build(destinationPort, b.ordinals())
	t := &tracer{index: x, chains: make(map[ref][]int, len(b.built))}
	for k, at := range b.built {
		var group []int
		for rest := []byte(k[1:]); len(rest) > 0; rest = rest[4:] {
			group = append(group, int(binary.NativeEndian.Uint32(rest)))
		}
		t.chains[at] = group
	}
	return t
}

// trace is Match, table by table.
func (t *tracer) trace(f *Facts) (chain int, steps []Step) {
	at := t.index.root
	left := make([]int, len(t.index.chains))
	for i := range left {
		left[i] = i
	}
	for at.level != decided {
		next := t.index.walk(at, f, at.level+1)
		s := Step{Criterion: at.level.String(), Value: f.value(at.level), Remaining: t.left(next)}
		for _, c := range left {
			if _, stays := slices.BinarySearch(s.Remaining, c); !stays {
				s.Excluded = append(s.Excluded, c)
			}
		}
		if len(s.Remaining) > 0 {
			s.Named = named(&t.index.chains[s.Remaining[0]].Match, at.level, f)
		}
		steps = append(steps, s)
		at, left = next, s.Remaining
	}
	return int(at.index), steps
}

// left are the chains that are still possible at a place.
func (t *tracer) left(at ref) []int {
	switch {
	case at.level != decided:
		return t.chains[at]
	case at.index == NoMatch:
		return nil
	}
	return []int{int(at.index)}
}

// value is what the connection has for a criterion, in words.
func (f *Facts) value(at level) string {
	switch at {
	case destinationPort:
		return fmt.Sprint(f.Destination.Port())
	case destinationPrefix:
		return addrText(f.Destination.Addr())
	case serverName:
		return f.ServerName
	case transportProtocol:
		return string(f.TransportProtocol)
	case applicationProtocol:
		return strings.Join(f.ApplicationProtocols, ", ")
	case directSourcePrefix:
		return addrText(f.DirectSource)
	case sourceType:
		if f.local() {
			return string(config.SourceLocal)
		}
		return string(config.SourceExternal)
	case sourcePrefix:
		return addrText(f.Source.Addr())
	}
	return fmt.Sprint(f.Source.Port())
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

// named is the value by which a chain has passed a criterion; "" if it names none.
func named(m *config.Match, at level, f *Facts) string {
	switch at {
	case destinationPort, sourcePort:
		if len(ports(m, at)) > 0 {
			return f.value(at)
		}
	case destinationPrefix:
		return longestPrefix(m.PrefixRanges, f.Destination.Addr())
	case serverName:
		return longestName(m, f.ServerName)
	case transportProtocol:
		return string(m.TransportProtocol)
	case applicationProtocol:
		for _, p := range f.ApplicationProtocols {
			if slices.Contains(m.ApplicationProtocols, p) {
				return p
			}
		}
	case directSourcePrefix:
		return longestPrefix(m.DirectSourcePrefixRanges, f.DirectSource)
	case sourceType:
		if m.SourceType != config.SourceAny {
			return string(m.SourceType)
		}
	case sourcePrefix:
		return longestPrefix(m.SourcePrefixRanges, f.Source.Addr())
	}
	return ""
}

func longestPrefix(list []netip.Prefix, a netip.Addr) string {
	if !a.IsValid() {
		a = netip.AddrFrom4([4]byte{255, 255, 255, 255}) // as prefixTable.find has it
	}
	best, text := -1, ""
	for _, p := range list {
		if p.Bits() > best && p.Contains(a.Unmap().WithZone("")) {
			best, text = p.Bits(), p.String()
		}
	}
	return text
}

func longestName(m *config.Match, name string) string {
	var best nameKey
	for _, k := range nameKeys(m) {
		if len(k) > len(best) && fitsName(k, asciiLower(name)) {
			best = k
		}
	}
	return best.String()
}

// asciiLower folds as serverNames.find does: other letters are bytes.
func asciiLower(name string) string {
	folded := []byte(name)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

// fitting are the chains that a connection fits criterion by criterion.
func (x *Index) fitting(f *Facts) []int {
	folded := *f
	folded.ServerName = asciiLower(f.ServerName)
	var list []int
	for i := range x.chains {
		if fits(&x.chains[i].Match, &folded) {
			list = append(list, i)
		}
	}
	return list
}
