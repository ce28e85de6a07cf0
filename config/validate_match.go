package config

import (
	"fmt"
	"strings"
)

// maxName bounds names and protocols. A server name cannot be longer (RFC
// 1035, 2.3.4) and neither can an ALPN protocol, which has one byte for its
// length (RFC 7301, 3.1).
const maxName = 255

// match checks the values of each criterion by themselves.
func (v *validator) match(path string, m *Match) {
	for i, name := range m.ServerNames {
		v.serverName(fmt.Sprintf("%s.server_names[%d]", path, i), name)
	}
	if m.TransportProtocol != "" {
		oneOf(v, path+".transport_protocol", m.TransportProtocol, TransportProtocols())
	}
	for i, protocol := range m.ApplicationProtocols {
		if protocol == "" || len(protocol) > maxName {
			v.add(fmt.Sprintf("%s.application_protocols[%d]", path, i), "must have from 1 to %d bytes, not %d: such as h2, http/1.1 or istio",
				maxName, len(protocol))
		}
	}
	oneOf(v, path+".source_type", m.SourceType, SourceTypes())
	for i, port := range m.SourcePorts {
		if port == 0 {
			v.add(fmt.Sprintf("%s.source_ports[%d]", path, i), "must be from 1 to 65535, not 0")
		}
	}
}

// serverName refuses, as Envoy does, an asterisk that is not the whole first
// label, and beyond Envoy what no client can send or no connection match.
func (v *validator) serverName(path, name string) {
	suffix, wildcard := strings.CutPrefix(name, "*.")
	switch {
	case name == "":
		v.add(path, "must not be empty: leave server_names out to match any name and none")
	case name == "*":
		v.add(path, "must be a name or *.suffix, not *: leave server_names out to match any name and none")
	case strings.Contains(suffix, "*"), wildcard && suffix == "":
		v.add(path, "must be a name or *.suffix, such as *.example.com, not %q: * stands only for whole labels at the beginning", name)
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }):
		v.add(path, "must be printable ASCII without spaces, not %q: write international names in their xn-- form", name)
	case len(name) > maxName:
		v.add(path, "must have at most %d bytes, as a server name has, not %d", maxName, len(name))
	}
}

func isEmptyMatch(m *Match) bool {
	return m.DestinationPort == 0 && len(m.PrefixRanges) == 0 && len(m.ServerNames) == 0 &&
		m.TransportProtocol == "" && len(m.ApplicationProtocols) == 0 && len(m.DirectSourcePrefixRanges) == 0 &&
		m.SourceType == SourceAny && len(m.SourcePrefixRanges) == 0 && len(m.SourcePorts) == 0
}
