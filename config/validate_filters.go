package config

import (
	"fmt"
	"slices"
)

func (v *validator) listenerFilters(path string, l *Listener) {
	for i, f := range l.ListenerFilters {
		at := fmt.Sprintf("%s.listener_filters[%d]", path, i)
		oneOf(v, at, f, ListenerFilters())
		switch first := slices.Index(l.ListenerFilters, f); {
		case first < i:
			v.add(at, "%s is there twice, first as listener_filters[%d]: remove one", f, first)
		case f == FilterProxyProtocol && i > 0:
			v.add(at, "proxy_protocol must come first: the others look at what follows the header")
		}
	}
	v.notNegative(path+".listener_filters_timeout", l.ListenerFiltersTimeout)
	for i, version := range l.ProxyProtocol.DisallowedVersions {
		oneOf(v, fmt.Sprintf("%s.proxy_protocol.disallowed_versions[%d]", path, i), version, ProxyProtocolVersions())
	}
	if most := l.TLSInspector.MaxClientHello; most < MinClientHello || most > MaxClientHello {
		v.add(path+".tls_inspector.max_client_hello", "must be from %s to %s, not %s", MinClientHello, MaxClientHello, most)
	}
	v.fingerprints(path, l)
}

// fingerprints refuses those that nobody would ever see.
func (v *validator) fingerprints(path string, l *Listener) {
	if slices.Contains(l.ListenerFilters, FilterTLS) {
		return
	}
	const help = "needs tls_inspector among the listener's listener_filters: nothing else reads a ClientHello"
	if l.TLSInspector.EnableJA3Fingerprinting {
		v.add(path+".tls_inspector.enable_ja3_fingerprinting", help)
	}
	if l.TLSInspector.EnableJA4Fingerprinting {
		v.add(path+".tls_inspector.enable_ja4_fingerprinting", help)
	}
}

// inspected refuses criteria whose answers nobody would look for: such a chain
// would take nothing, and its connections would go elsewhere. Envoy adds the
// missing filter by itself; here the file says what looks at its connections.
func (v *validator) inspected(path string, m *Match, l *Listener) {
	tls, http := slices.Contains(l.ListenerFilters, FilterTLS), slices.Contains(l.ListenerFilters, FilterHTTP)
	const help = "needs tls_inspector among the listener's listener_filters: nothing else tells"
	if len(m.ServerNames) > 0 && !tls {
		v.add(path+".server_names", help)
	}
	if m.TransportProtocol != "" && !tls {
		v.add(path+".transport_protocol", help)
	}
	if len(m.ApplicationProtocols) > 0 && !tls && !http {
		v.add(path+".application_protocols", "needs tls_inspector (ALPN) or http_inspector among the listener's listener_filters: nothing else tells")
	}
}
