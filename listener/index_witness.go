package listener

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/sluiceproxy/sluice/config"
)

// witness makes example connections for warnings. What nothing decides about
// gets a neutral value, if possible one that no chain names.
type witness struct {
	addr4, addr6       [2]netip.Addr // destination, source
	destinationPort    uint16
	sourcePort         uint16
	inspection, direct bool // whether to tell of what they found
}

func newWitness(x *Index) *witness {
	w := &witness{inspection: x.root.asks != 0}
	names := func(list func(*config.Match) bool) bool {
		for i := range x.chains {
			if list(&x.chains[i].Match) {
				return true
			}
		}
		return false
	}
	prefixNamed := func(a netip.Addr) bool {
		return names(func(m *config.Match) bool {
			return containsNarrow(m.PrefixRanges, a) || containsNarrow(m.DirectSourcePrefixRanges, a) || containsNarrow(m.SourcePrefixRanges, a)
		})
	}
	// Addresses are for documentation (RFC 5737, RFC 3849), or of shared space.
	w.addr4 = pickTwo(prefixNamed, "192.0.2.1", "198.51.100.7", "203.0.113.1", "100.64.0.1", "198.18.0.1")
	w.addr6 = pickTwo(prefixNamed, "2001:db8::1", "2001:db8:1::7", "3fff::1", "100::1")
	w.direct = names(func(m *config.Match) bool { return len(m.DirectSourcePrefixRanges) > 0 })
	destinations, sources := make(map[uint16]bool), make(map[uint16]bool)
	for i := range x.chains {
		m := &x.chains[i].Match
		destinations[m.DestinationPort] = true
		for _, port := range m.SourcePorts {
			sources[port] = true
		}
	}
	w.destinationPort, w.sourcePort = freePort(destinations, 9000), freePort(sources, 40000)
	return w
}

// containsNarrow leaves out /0, which contains every neutral address.
func containsNarrow(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Bits() > 0 && p.Contains(a) {
			return true
		}
	}
	return false
}

func pickTwo(taken func(netip.Addr) bool, candidates ...string) [2]netip.Addr {
	chosen := [2]netip.Addr{netip.MustParseAddr(candidates[0]), netip.MustParseAddr(candidates[1])}
	n := 0
	for _, text := range candidates {
		if a := netip.MustParseAddr(text); n < len(chosen) && !taken(a) {
			chosen[n] = a
			n++
		}
	}
	return chosen
}

func freePort(taken map[uint16]bool, first uint16) uint16 {
	for port := first; port != first-1; port++ {
		if port != 0 && !taken[port] {
			return port
		}
	}
	return first
}

// connection has the values of the steps and of the criteria of m from a level
// on; where both have application protocols, those of the steps come first.
func (w *witness) connection(steps []step, m *config.Match, from level) Facts {
	var f Facts
	f.Destination = netip.AddrPortFrom(netip.Addr{}, w.destinationPort)
	f.Source = netip.AddrPortFrom(netip.Addr{}, w.sourcePort)
	for _, s := range steps {
		w.set(&f, s.level, s.value)
	}
	for at := from; at < decided; at++ {
		if value := firstValue(m, at); value != nil {
			w.set(&f, at, value)
		}
	}
	w.complete(&f)
	return f
}

// firstValue is a value that the match names, nil if it names none.
func firstValue(m *config.Match, at level) any {
	switch at {
	case destinationPort, sourcePort:
		if list := ports(m, at); len(list) > 0 {
			return list[0]
		}
	case destinationPrefix, directSourcePrefix, sourcePrefix:
		if list := prefixes(m, at); len(list) > 0 {
			return list[0]
		}
	case serverName:
		if keys := nameKeys(m); len(keys) > 0 {
			return keys[0]
		}
	case transportProtocol:
		if m.TransportProtocol != "" {
			return m.TransportProtocol
		}
	case applicationProtocol:
		if len(m.ApplicationProtocols) > 0 {
			return m.ApplicationProtocols[0]
		}
	case sourceType:
		if m.SourceType == config.SourceLocal {
			return m.SourceType
		}
	}
	return nil
}

func (w *witness) set(f *Facts, at level, value any) {
	switch at {
	case destinationPort:
		f.Destination = netip.AddrPortFrom(f.Destination.Addr(), value.(uint16))
	case destinationPrefix:
		f.Destination = netip.AddrPortFrom(w.inside(value.(netip.Prefix), 0), f.Destination.Port())
	case serverName:
		f.ServerName = string(value.(nameKey))
		if strings.HasPrefix(f.ServerName, ".") {
			f.ServerName = "any" + f.ServerName
		}
	case transportProtocol:
		f.TransportProtocol = value.(config.TransportProtocol)
	case applicationProtocol:
		f.ApplicationProtocols = append(f.ApplicationProtocols, value.(string))
	case directSourcePrefix:
		f.DirectSource = w.inside(value.(netip.Prefix), 1)
	case sourceType:
		if value == config.SourceLocal {
			f.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), f.Source.Port())
		}
	case sourcePrefix:
		f.Source = netip.AddrPortFrom(w.inside(value.(netip.Prefix), 1), f.Source.Port())
	case sourcePort:
		f.Source = netip.AddrPortFrom(f.Source.Addr(), value.(uint16))
	}
}

// inside is an address near the end of a prefix, where narrower ones seldom
// are.
func (w *witness) inside(p netip.Prefix, side int) netip.Addr {
	switch last := lastAddr(p); {
	case p.Bits() == 0 && p.Addr().Is4():
		return w.addr4[side]
	case p.Bits() == 0:
		return w.addr6[side]
	case p.Addr().BitLen()-p.Bits() > 1:
		return last.Prev()
	default:
		return last
	}
}

func (w *witness) complete(f *Facts) {
	source := f.Source.Addr()
	if !source.IsValid() {
		source = f.DirectSource
	}
	destination, neutral := f.Destination.Addr(), w.addr4
	if destination.Is6() || !destination.IsValid() && source.Is6() {
		neutral = w.addr6
	}
	if !destination.IsValid() {
		destination = neutral[0]
	}
	if !source.IsValid() {
		source = neutral[1]
	}
	if !f.DirectSource.IsValid() {
		f.DirectSource = source
	}
	f.Destination = netip.AddrPortFrom(destination, f.Destination.Port())
	f.Source = netip.AddrPortFrom(source, f.Source.Port())
}

// describe is the connection in words.
func (w *witness) describe(f *Facts) string {
	text := fmt.Sprintf("a connection from %v to %v", f.Source, f.Destination)
	if w.direct && f.DirectSource != f.Source.Addr() {
		text += fmt.Sprintf(" through %v", f.DirectSource)
	}
	if !w.inspection {
		return text
	}
	if f.TransportProtocol == config.TransportTLS {
		text += ", TLS"
		if f.ServerName != "" {
			text += fmt.Sprintf(" for %s", f.ServerName)
		}
	} else {
		text += ", not TLS"
	}
	if len(f.ApplicationProtocols) == 0 {
		return text + ", without application protocol"
	}
	return text + ", application protocol " + strings.Join(f.ApplicationProtocols, ", ")
}
