package accesslog

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// timestamp is RFC 3339 with milliseconds, Envoy's default for START_TIME.
const timestamp = "2006-01-02T15:04:05.000Z"

func appendTimestamp(dst []byte, t time.Time) []byte { return t.UTC().AppendFormat(dst, timestamp) }

// jsonLine builds one object. As in Envoy's typed JSON, numbers are numbers
// and what is not known is null.
type jsonLine struct{ dst []byte }

func (l *jsonLine) key(name string) {
	l.dst = append(append(append(l.dst, `,"`...), name...), `":`...)
}

func (l *jsonLine) text(name, value string) {
	l.key(name)
	if value == "" {
		l.dst = append(l.dst, "null"...)
		return
	}
	l.dst = appendJSONString(l.dst, value)
}

// given adds a key only where it has a value: what few connections have must not
// lengthen the lines of all.
func (l *jsonLine) given(name, value string) {
	if value != "" {
		l.text(name, value)
	}
}

func (l *jsonLine) number(name string, value uint64) {
	l.key(name)
	l.dst = strconv.AppendUint(l.dst, value, 10)
}

func (l *jsonLine) address(name string, value netip.AddrPort) {
	l.key(name)
	if !value.IsValid() {
		l.dst = append(l.dst, "null"...)
		return
	}
	l.dst = append(appendAddress(append(l.dst, '"'), value), '"')
}

func (l *jsonLine) millis(name string, value time.Duration, known bool) {
	if !known {
		l.text(name, "")
		return
	}
	l.number(name, milliseconds(value))
}

// appendJSON appends a line with the keys of the access log's contract, in
// its order, and then those that were added.
func appendJSON(dst []byte, ev config.LogEvent, r *Record) []byte {
	l := jsonLine{append(dst, `{"start_time":"`...)}
	l.dst = append(appendTimestamp(l.dst, r.Start), '"')
	l.number("connection_id", r.ConnectionID)
	l.text("listener", r.Listener)
	l.text("direction", r.Direction)
	l.text("filter_chain", r.FilterChain)
	l.address("downstream_remote_address", r.DownstreamRemote)
	l.address("downstream_direct_remote_address", r.DownstreamDirectRemote)
	l.address("downstream_local_address", r.DownstreamLocal)
	l.text("upstream_cluster", r.UpstreamCluster)
	l.address("upstream_host", r.UpstreamHost)
	l.address("upstream_local_address", r.UpstreamLocal)
	l.text("upstream_locality", r.UpstreamLocality)
	l.text("requested_server_name", r.RequestedServerName)
	l.text("transport_protocol", r.TransportProtocol)
	l.text("application_protocol", r.ApplicationProtocol)
	l.number("bytes_received", r.BytesReceived)
	l.number("bytes_sent", r.BytesSent)
	l.millis("duration_ms", r.Duration, true)
	l.millis("connect_ms", r.Connect, r.Connect > 0)
	l.number("connect_attempts", uint64(max(r.ConnectAttempts, 0)))
	l.key("response_flags")
	l.dst = append(appendFlags(append(l.dst, '"'), r.Flags, &flagNames), '"')
	l.text("closed_by", r.ClosedBy.String())
	l.text("close_reason", r.CloseReason.String())
	l.text("errno", r.Errno)
	l.text("upstream_transport_failure_reason", r.UpstreamFailure)
	l.text("engine", r.Engine)
	l.text("connection_termination_details", r.TerminationDetails)
	l.text("rbac_log_policy", r.RBACLogPolicy)
	l.text("access_log_type", eventName(ev))
	l.given("ja3", r.JA3)
	l.given("ja4", r.JA4)
	l.given("proxy_protocol_authority", r.ProxyAuthority)
	if r.ProxyUniqueID != "" {
		l.key("proxy_protocol_unique_id")
		l.dst = append(appendOpaque(append(l.dst, '"'), r.ProxyUniqueID), '"')
	}
	return append(l.dst, '}', '\n')
}

// eventName is Envoy's AccessLogType of the moment.
func eventName(ev config.LogEvent) string {
	switch ev {
	case config.LogStart:
		return "TcpConnectionStart"
	case config.LogConnected:
		return "TcpUpstreamConnected"
	case config.LogEnd:
		return "TcpConnectionEnd"
	}
	return ""
}

func milliseconds(d time.Duration) uint64 { return uint64(max(d, 0) / time.Millisecond) }

// appendAddress shows IPv4 addresses as such, also when a socket of both
// families gave them.
func appendAddress(dst []byte, a netip.AddrPort) []byte {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).AppendTo(dst)
}
