package accesslog

import "math/bits"

// Flags are Envoy's response flags, as a set.
type Flags uint16

// The response flags of a layer-4 proxy, in the order in which Envoy prints
// them (StreamInfo::ResponseFlagUtils::CORE_RESPONSE_FLAGS).
const (
	NoHealthyUpstream               Flags = 1 << iota // UH
	UpstreamConnectionFailure                         // UF
	UpstreamOverflow                                  // UO
	NoRouteFound                                      // NR
	DownstreamConnectionTermination                   // DC
	UpstreamRetryLimitExceeded                        // URX
	StreamIdleTimeout                                 // SI
	DurationTimeout                                   // DT
	NoClusterFound                                    // NC
)

var (
	flagNames     = [...]string{"UH", "UF", "UO", "NR", "DC", "URX", "SI", "DT", "NC"}
	flagLongNames = [...]string{
		"NoHealthyUpstream", "UpstreamConnectionFailure", "UpstreamOverflow", "NoRouteFound", "DownstreamConnectionTermination",
		"UpstreamRetryLimitExceeded", "StreamIdleTimeout", "DurationTimeout", "NoClusterFound",
	}
)

// String gives Envoy's short names, comma separated, or "-". It allocates
// only for sets of two or more other than UF,URX.
func (f Flags) String() string {
	switch {
	case f == 0:
		return "-"
	case f == UpstreamConnectionFailure|UpstreamRetryLimitExceeded:
		return "UF,URX"
	case bits.OnesCount16(uint16(f)) == 1 && bits.TrailingZeros16(uint16(f)) < len(flagNames):
		return flagNames[bits.TrailingZeros16(uint16(f))]
	}
	return string(appendFlags(nil, f, &flagNames))
}

func appendFlags(dst []byte, f Flags, names *[len(flagNames)]string) []byte {
	start := len(dst)
	for i, name := range names {
		if f&(1<<i) == 0 {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, name...)
	}
	if len(dst) == start {
		dst = append(dst, '-')
	}
	return dst
}

// ClosedBy is the side that ended a connection.
type ClosedBy uint8

// The sides.
const (
	ByNobody ClosedBy = iota // not closed yet
	ByDownstream
	ByUpstream
	ByProxy
)

var closedByNames = [...]string{"", "downstream", "upstream", "proxy"}

// String gives downstream, upstream, proxy, or nothing for ByNobody.
func (c ClosedBy) String() string { return nameAt(closedByNames[:], int(c)) }

// CloseReason is why a connection ended.
type CloseReason uint8

// The reasons that exist so far.
const (
	NotClosed CloseReason = iota
	Fin
	Rst
	ConnectFailed
	ConnectTimeout
	IdleTimeout
	HalfCloseTimeout
	MaxDuration
	NoFilterChain
	Overflow
	Drained // drain
	LoopGuard
	NoOriginalDst // it was missing where it must be there
	SocketError   // for example ETIMEDOUT by keepalive; errno tells
	InternalError // a panic while handling the connection
	RBACDenied
	RateLimited       // by local_rate_limit
	EndpointRemoved   // by on_endpoint_removed
	EndpointUnhealthy // by on_endpoint_unhealthy
	InspectionFailed  // what a chain asks for could not be had from the first bytes; the termination details tell
)

var closeReasonNames = [...]string{
	NotClosed: "", Fin: "fin", Rst: "rst", ConnectFailed: "connect_failed", ConnectTimeout: "connect_timeout",
	IdleTimeout: "idle_timeout", HalfCloseTimeout: "half_close_timeout", MaxDuration: "max_duration",
	NoFilterChain: "no_filter_chain", Overflow: "overflow", Drained: "drain", LoopGuard: "loop_guard",
	NoOriginalDst: "no_original_dst", SocketError: "socket_error", InternalError: "internal_error",
	InspectionFailed: "inspection_failed", RBACDenied: "rbac_denied", RateLimited: "rate_limited",
	EndpointRemoved: "endpoint_removed", EndpointUnhealthy: "endpoint_unhealthy",
}

// String gives the name that log lines show, or nothing for NotClosed.
func (c CloseReason) String() string { return nameAt(closeReasonNames[:], int(c)) }

func nameAt(names []string, i int) string {
	if i >= len(names) {
		return "unknown"
	}
	return names[i]
}
