package listener

import (
	"net/netip"
	"slices"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/listener/inspect"
)

// filters is what a listener looks for in a connection's first bytes.
type filters struct {
	proxy, tls, http bool

	optional   bool    // connections without a PROXY header may pass
	disallowed [3]bool // by version of the PROXY protocol
	trusted    []netip.Prefix

	maxHello  int
	ja3, ja4  bool // fingerprints wanted
	strict    bool // close what began as TLS and broke its rules
	timeout   time.Duration
	goOn      bool // after the timeout, if nothing was sent
	needsNone bool // there is nothing to look for, whatever the connection
}

// maxProxyHeader is the longest header of v2.
const maxProxyHeader = 16 + 65535

func newFilters(cfg *config.Listener) filters {
	has := func(f config.ListenerFilter) bool { return slices.Contains(cfg.ListenerFilters, f) }
	disallows := func(v config.ProxyProtocolVersion) bool {
		return slices.Contains(cfg.ProxyProtocol.DisallowedVersions, v)
	}
	return filters{
		proxy:      has(config.FilterProxyProtocol),
		tls:        has(config.FilterTLS),
		http:       has(config.FilterHTTP),
		optional:   cfg.ProxyProtocol.AllowRequestsWithoutProxyProtocol,
		disallowed: [3]bool{1: disallows(config.ProxyProtocolV1), 2: disallows(config.ProxyProtocolV2)},
		trusted:    cfg.ProxyProtocol.TrustedPrefixRanges,
		maxHello:   int(cfg.TLSInspector.MaxClientHello),
		ja3:        cfg.TLSInspector.EnableJA3Fingerprinting,
		ja4:        cfg.TLSInspector.EnableJA4Fingerprinting,
		strict:     cfg.TLSInspector.CloseOnParseError,
		timeout:    cfg.ListenerFiltersTimeout,
		goOn:       cfg.ContinueOnListenerFiltersTimeout,
		needsNone:  len(cfg.ListenerFilters) == 0,
	}
}

// trusts says whether a peer may send a PROXY header.
func (f *filters) trusts(peer netip.Addr) bool {
	peer = peer.Unmap().WithZone("")
	return len(f.trusted) == 0 || slices.ContainsFunc(f.trusted, func(p netip.Prefix) bool { return p.Contains(peer) })
}

// most is how many bytes are ever looked at.
func (f *filters) most() int {
	if f.proxy {
		return maxProxyHeader + f.maxHello
	}
	return f.maxHello
}

// Filtered says whether the listener looks at connections at all.
func (l *Listener) Filtered() bool { return !l.filters.needsNone }

// NeedsInspection says whether what a connection sends can change which chain
// takes it, or whether that chain's rbac lets it through. Where it cannot,
// nothing is waited for.
func (l *Listener) NeedsInspection(f *Facts) bool {
	return l.filters.proxy || !l.filters.needsNone && l.needs(f).Any()
}

// InspectionTimeout bounds all filters of a connection together; 0: nothing does.
func (l *Listener) InspectionTimeout() time.Duration { return l.filters.timeout }

// MostInspected is how many bytes of a connection an Inspection looks at.
func (l *Listener) MostInspected() int { return l.filters.most() }

// Scratch is what inspections on one loop have in common.
type Scratch struct{ hello inspect.Hello }
