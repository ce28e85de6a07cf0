package config

import (
	"net/netip"
	"time"
)

// Config is one whole configuration: what a file, or later a control plane,
// asks of the daemon. It is complete (defaults filled in) and never changed
// after Validate has accepted it.
type Config struct {
	Node        Node
	Concurrency int // event loops; 0 = as many as usable cores
	Admin       Admin
	Metrics     Metrics
	Readiness   Readiness
	AppHealth   AppHealth
	Log         Log
	AccessLog   []AccessLog // for chains that name none of their own
	Limits      Limits
	Drain       Drain
	Listeners   []Listener
	Clusters    []Cluster
}

// Node names this process to people and, later, to control planes.
type Node struct {
	ID      string
	Cluster string
}

// Admin is the operators' HTTP API. Address is host:port, or
// unix:///path for a unix socket with mode 0600.
type Admin struct{ Address string }

// Metrics is the read-only Prometheus port; an empty address turns it off.
type Metrics struct{ Address string }

// Readiness is the port that kubelet probes; an empty address turns it off.
type Readiness struct{ Address string }

// Log is the daemon's own log, not the access log.
type Log struct {
	Level  string // debug | info | warn | error
	Format string // json | console
}

// AccessLog is one destination of access-log lines.
type AccessLog struct {
	Path          string // a file, /dev/stdout or /dev/stderr
	Format        string // json | text | a line with %OPERATORS%
	LogOn         []LogEvent
	FlushInterval time.Duration
}

// LogEvent is a moment in a connection's life that an access log can report.
type LogEvent string

// The moments of AccessLog.LogOn.
const (
	LogStart     LogEvent = "start"
	LogConnected LogEvent = "connected"
	LogEnd       LogEvent = "end"
)

// Limits bound the whole process.
type Limits struct {
	MaxConnections          int // live downstream connections; 0 = unlimited
	MaxConnectionsPerSource int // of those, from one peer's address; 0 = unlimited
	MaxPendingInspections   int // connections still in listener filters; 0 = unlimited
}

// Drain is how the daemon stops.
type Drain struct {
	Time     time.Duration // after it, what is left is reset
	MinTime  time.Duration // listeners go on accepting at least this long
	Strategy DrainStrategy
}

// DrainStrategy is the tempo of a drain.
type DrainStrategy string

// Gradual drains wait Drain.MinTime before inbound listeners stop accepting;
// immediate ones stop accepting at once.
const (
	DrainGradual   DrainStrategy = "gradual"
	DrainImmediate DrainStrategy = "immediate"
)

// Direction says which side of the application a listener stands on.
type Direction string

// The directions of a listener, as Envoy's traffic_direction.
const (
	Inbound     Direction = "inbound"
	Outbound    Direction = "outbound"
	Unspecified Direction = "unspecified"
)

// InterceptionMode is how connections come to a listener, and so where their
// original destination is found.
type InterceptionMode string

// InterceptNone: clients connect to the listener's own address.
// InterceptRedirect: iptables REDIRECT; SO_ORIGINAL_DST tells.
// InterceptTProxy: iptables TPROXY; the socket's local address tells, and the
// listening socket needs IP_TRANSPARENT.
const (
	InterceptNone     InterceptionMode = "none"
	InterceptRedirect InterceptionMode = "redirect"
	InterceptTProxy   InterceptionMode = "tproxy"
)

// Listener is one address that takes connections, or, with Bind false, one
// that only receives them from a listener with UseOriginalDst.
type Listener struct {
	Name             string
	Address          netip.AddrPort
	Direction        Direction
	InterceptionMode InterceptionMode
	Bind             bool
	UseOriginalDst   bool

	ListenerFilters                  []ListenerFilter // a PROXY header comes first, if there is one
	ListenerFiltersTimeout           time.Duration    // for all filters together; 0 = never
	ContinueOnListenerFiltersTimeout bool             // a connection that has sent nothing by then goes on; else it is closed
	ProxyProtocol                    ProxyProtocol
	TLSInspector                     TLSInspector

	MaxConnections     int // 0 = unlimited
	TCPKeepalive       Keepalive
	FilterChains       []FilterChain
	DefaultFilterChain *FilterChain // nil: a connection that matches nothing is reset
}

// Keepalive is TCP keepalive (tcp(7): TCP_KEEPIDLE, TCP_KEEPINTVL,
// TCP_KEEPCNT), rounded up to whole seconds. Idle 0 turns it off.
type Keepalive struct {
	Idle     time.Duration
	Interval time.Duration
	Probes   int
}

// FilterChain is a match and what happens to the connections that match.
type FilterChain struct {
	Name            string // never empty: chain-N or default where the user gave none
	Match           Match
	RBAC            []RBAC           // nil: everybody may
	ConnectionLimit *ConnectionLimit // nil: none
	LocalRateLimit  *LocalRateLimit  // nil: none
	TCPProxy        TCPProxy
	AccessLog       []AccessLog // nil: the Config's own
}

// Match is a conjunction of criteria; an empty one matches anything.
// Criteria are tried in the order of the fields, and a more specific value
// found for one is never given up for a later one (no backtracking), as in
// Envoy's FilterChainMatch.
type Match struct {
	DestinationPort          uint16 // 0 = any
	PrefixRanges             []netip.Prefix
	ServerNames              []string          // of the TLS client; *.example.com is every name below example.com; ASCII case does not matter
	TransportProtocol        TransportProtocol // "" = any
	ApplicationProtocols     []string          // ALPN, or what looking at the bytes told
	DirectSourcePrefixRanges []netip.Prefix
	SourceType               SourceType
	SourcePrefixRanges       []netip.Prefix
	SourcePorts              []uint16
}

// TransportProtocol is what a connection begins with.
type TransportProtocol string

// The transport protocols, as Envoy's: TLS begins with a ClientHello, and
// whatever does not is raw.
const (
	TransportTLS       TransportProtocol = "tls"
	TransportRawBuffer TransportProtocol = "raw_buffer"
)

// TransportProtocols are the allowed values of Match.TransportProtocol, which
// may also be left out.
func TransportProtocols() []TransportProtocol {
	return []TransportProtocol{TransportTLS, TransportRawBuffer}
}

// SourceType tells connections from this host from others.
type SourceType string

// The source types, as Envoy's ConnectionSourceType.
const (
	SourceAny      SourceType = "any"
	SourceLocal    SourceType = "same_ip_or_loopback"
	SourceExternal SourceType = "external"
)

// TCPProxy relays a connection to a cluster. Exactly one of Cluster and
// WeightedClusters is given.
type TCPProxy struct {
	Cluster               string
	WeightedClusters      []WeightedCluster
	MaxConnectAttempts    int
	IdleTimeout           time.Duration // 0 = never
	HalfCloseTimeout      time.Duration // 0 = never
	MaxConnectionDuration time.Duration // 0 = never
	HashPolicy            HashPolicy
}

// HashPolicy is what the policies that hash choose an endpoint by; without any,
// they choose at random.
type HashPolicy struct {
	SourceIP bool // the client's address, as far as it is known
}

// WeightedCluster is one share of a chain's connections. Weight is relative.
type WeightedCluster struct {
	Name   string
	Weight uint32
}
