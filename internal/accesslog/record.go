package accesslog

import (
	"net/netip"
	"time"
)

// Record is the one truth about a connection: metrics and log lines are made
// from it. It belongs to the connection; Logger.Log reads it and keeps
// nothing.
type Record struct {
	ConnectionID uint64
	Start        time.Time
	Listener     string
	Direction    string // inbound | outbound | unspecified
	FilterChain  string

	DownstreamRemote       netip.AddrPort // the client
	DownstreamDirectRemote netip.AddrPort // the socket's peer; differs under PROXY protocol
	DownstreamLocal        netip.AddrPort // the original destination

	UpstreamCluster  string
	UpstreamHost     netip.AddrPort // invalid: none was chosen
	UpstreamLocal    netip.AddrPort
	UpstreamLocality string
	UpstreamFailure  string // upstream_transport_failure_reason

	RequestedServerName string // as the client gave it: escaped and cut by the formatter
	TransportProtocol   string
	ApplicationProtocol string
	JA3, JA4            string // fingerprints of the client's ClientHello

	ProxyAuthority string // TLVs of the PROXY header, as it had them: escaped
	ProxyUniqueID  string // and cut, or written in hexadecimal, by the formatter

	BytesReceived   uint64 // from downstream
	BytesSent       uint64 // to downstream
	Duration        time.Duration
	Connect         time.Duration // 0: never connected
	ConnectAttempts int

	Flags              Flags
	ClosedBy           ClosedBy
	CloseReason        CloseReason
	RBACLogPolicy      string // the first rbac policy with action log that matched; empty: none
	TerminationDetails string // connection_termination_details
	Errno              string // symbolic, for example ECONNRESET; empty: none
	Engine             string // copy | splice; empty: no byte was moved
}
