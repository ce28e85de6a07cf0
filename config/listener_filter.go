package config

import "net/netip"

// ListenerFilter names what looks at a connection's first bytes before its
// filter chain is chosen.
type ListenerFilter string

// The listener filters. FilterProxyProtocol reads a PROXY header and takes it
// off; FilterTLS reads server name and protocols from a ClientHello; FilterHTTP
// tells the version of HTTP. The last two leave the bytes as they are, and look
// only where a chain that can still match asks.
const (
	FilterProxyProtocol ListenerFilter = "proxy_protocol"
	FilterTLS           ListenerFilter = "tls_inspector"
	FilterHTTP          ListenerFilter = "http_inspector"
)

// ProxyProtocol is how a listener takes PROXY headers.
type ProxyProtocol struct {
	// AllowRequestsWithoutProxyProtocol lets connections through that begin
	// otherwise. They are not inspected for a header later.
	AllowRequestsWithoutProxyProtocol bool
	DisallowedVersions                []ProxyProtocolVersion
	TrustedPrefixRanges               []netip.Prefix // peers that may send a header; nil = all
}

// ProxyProtocolVersion is a version of the PROXY protocol.
type ProxyProtocolVersion string

// The versions: text and binary.
const (
	ProxyProtocolV1 ProxyProtocolVersion = "v1"
	ProxyProtocolV2 ProxyProtocolVersion = "v2"
)

// TLSInspector is how a listener reads ClientHellos.
type TLSInspector struct {
	MaxClientHello    Size // bytes of a stream that are looked at; more closes the connection
	CloseOnParseError bool // else what began as TLS and broke its rules is raw_buffer

	// Fingerprints of the ClientHellos that are looked at, for access logs;
	// they make nothing be looked at.
	EnableJA3Fingerprinting bool
	EnableJA4Fingerprinting bool
}

// Bounds of TLSInspector.MaxClientHello. The least is what a hello without any
// post-quantum key takes, the most keeps the memory of pending inspections small.
const (
	MinClientHello Size = 512
	MaxClientHello Size = 1 << 20
)
