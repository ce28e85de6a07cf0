package listener

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/config"
)

// fits tells whether a connection meets each criterion of a match by itself,
// which is what people expect to be enough. The index may still choose another
// chain, or none.
func fits(m *config.Match, f *Facts) bool {
	return (m.DestinationPort == 0 || m.DestinationPort == f.Destination.Port()) &&
		fitsPrefix(m.PrefixRanges, f.Destination.Addr()) &&
		(len(m.ServerNames) == 0 || slices.ContainsFunc(nameKeys(m), func(k nameKey) bool { return fitsName(k, f.ServerName) })) &&
		(m.TransportProtocol == "" || m.TransportProtocol == f.TransportProtocol) &&
		(len(m.ApplicationProtocols) == 0 || slices.ContainsFunc(m.ApplicationProtocols, func(p string) bool { return slices.Contains(f.ApplicationProtocols, p) })) &&
		fitsPrefix(m.DirectSourcePrefixRanges, f.DirectSource) &&
		(m.SourceType == config.SourceAny || m.SourceType == "" || (m.SourceType == config.SourceLocal) == f.local()) &&
		fitsPrefix(m.SourcePrefixRanges, f.Source.Addr()) &&
		(len(m.SourcePorts) == 0 || slices.Contains(m.SourcePorts, f.Source.Port()))
}

func fitsPrefix(list []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return len(list) == 0 || slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// fitsName compares a lower-case name.
func fitsName(k nameKey, name string) bool {
	return string(k) == name || strings.HasPrefix(string(k), ".") && strings.HasSuffix(name, string(k))
}
