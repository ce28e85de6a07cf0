package accesslog

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceproxy/sluice/config"
)

// operator appends one value of a record.
type operator func(dst []byte, ev config.LogEvent, r *Record) []byte

// operators are those without an argument: Envoy's for TCP, and one for each
// JSON key.
func operators() map[string]operator {
	ops := map[string]operator{
		"START_TIME":      appendStart,
		"CONNECTION_ID":   numberOp(func(r *Record) uint64 { return r.ConnectionID }),
		"LISTENER":        textOp(func(r *Record) string { return r.Listener }),
		"DIRECTION":       textOp(func(r *Record) string { return r.Direction }),
		"FILTER_CHAIN":    textOp(func(r *Record) string { return r.FilterChain }),
		"ENGINE":          textOp(func(r *Record) string { return r.Engine }),
		"ERRNO":           textOp(func(r *Record) string { return r.Errno }),
		"CLOSED_BY":       textOp(func(r *Record) string { return r.ClosedBy.String() }),
		"CLOSE_REASON":    textOp(func(r *Record) string { return r.CloseReason.String() }),
		"ACCESS_LOG_TYPE": func(dst []byte, ev config.LogEvent, _ *Record) []byte { return appendText(dst, eventName(ev)) },

		"BYTES_RECEIVED":   numberOp(func(r *Record) uint64 { return r.BytesReceived }),
		"BYTES_SENT":       numberOp(func(r *Record) uint64 { return r.BytesSent }),
		"DURATION":         numberOp(func(r *Record) uint64 { return milliseconds(r.Duration) }),
		"CONNECT_MS":       appendConnect,
		"CONNECT_ATTEMPTS": numberOp(func(r *Record) uint64 { return uint64(max(r.ConnectAttempts, 0)) }),

		"UPSTREAM_CLUSTER":      textOp(func(r *Record) string { return r.UpstreamCluster }),
		"UPSTREAM_LOCALITY":     textOp(func(r *Record) string { return r.UpstreamLocality }),
		"REQUESTED_SERVER_NAME": textOp(func(r *Record) string { return r.RequestedServerName }),
		"TRANSPORT_PROTOCOL":    textOp(func(r *Record) string { return r.TransportProtocol }),
		"APPLICATION_PROTOCOL":  textOp(func(r *Record) string { return r.ApplicationProtocol }),
		"JA3":                   textOp(func(r *Record) string { return r.JA3 }),
		"JA4":                   textOp(func(r *Record) string { return r.JA4 }),
		"RBAC_LOG_POLICY":       textOp(func(r *Record) string { return r.RBACLogPolicy }),
		"RESPONSE_FLAGS":        flagsOp(&flagNames),
		"RESPONSE_FLAGS_LONG":   flagsOp(&flagLongNames),

		"PROXY_PROTOCOL_AUTHORITY": textOp(func(r *Record) string { return r.ProxyAuthority }),
		"PROXY_PROTOCOL_UNIQUE_ID": func(dst []byte, _ config.LogEvent, r *Record) []byte { return appendOpaque(dst, r.ProxyUniqueID) },

		"CONNECTION_TERMINATION_DETAILS":    sentenceOp(func(r *Record) string { return r.TerminationDetails }),
		"UPSTREAM_TRANSPORT_FAILURE_REASON": sentenceOp(func(r *Record) string { return r.UpstreamFailure }),
	}
	addAddresses(ops, "DOWNSTREAM_REMOTE", func(r *Record) netip.AddrPort { return r.DownstreamRemote })
	addAddresses(ops, "DOWNSTREAM_DIRECT_REMOTE", func(r *Record) netip.AddrPort { return r.DownstreamDirectRemote })
	addAddresses(ops, "DOWNSTREAM_LOCAL", func(r *Record) netip.AddrPort { return r.DownstreamLocal })
	addAddresses(ops, "UPSTREAM_REMOTE", func(r *Record) netip.AddrPort { return r.UpstreamHost })
	addAddresses(ops, "UPSTREAM_LOCAL", func(r *Record) netip.AddrPort { return r.UpstreamLocal })
	addAliases(ops)
	addUnavailable(ops)
	return ops
}

// addAddresses adds an address in Envoy's three forms.
func addAddresses(ops map[string]operator, name string, get func(*Record) netip.AddrPort) {
	form := func(appendTo func(dst []byte, a netip.AddrPort) []byte) operator {
		return func(dst []byte, _ config.LogEvent, r *Record) []byte {
			if a := get(r); a.IsValid() {
				return appendTo(dst, a)
			}
			return append(dst, '-')
		}
	}
	ops[name+"_ADDRESS"] = form(appendAddress)
	ops[name+"_ADDRESS_WITHOUT_PORT"] = form(func(dst []byte, a netip.AddrPort) []byte { return a.Addr().Unmap().AppendTo(dst) })
	ops[name+"_PORT"] = form(func(dst []byte, a netip.AddrPort) []byte { return strconv.AppendUint(dst, uint64(a.Port()), 10) })
}

// addAliases adds other names of the same thing.
func addAliases(ops map[string]operator) {
	for alias, name := range map[string]string{
		"DURATION_MS":                    "DURATION",
		"FILTER_CHAIN_NAME":              "FILTER_CHAIN",
		"TLS_JA3_FINGERPRINT":            "JA3",
		"TLS_JA4_FINGERPRINT":            "JA4",
		"UPSTREAM_CLUSTER_RAW":           "UPSTREAM_CLUSTER",
		"UPSTREAM_HOST":                  "UPSTREAM_REMOTE_ADDRESS",
		"UPSTREAM_REQUEST_ATTEMPT_COUNT": "CONNECT_ATTEMPTS",
		"DOWNSTREAM_WIRE_BYTES_RECEIVED": "BYTES_RECEIVED",
		"DOWNSTREAM_WIRE_BYTES_SENT":     "BYTES_SENT",
		"UPSTREAM_WIRE_BYTES_SENT":       "BYTES_RECEIVED", // what a client sends goes to the upstream as it is
		"UPSTREAM_WIRE_BYTES_RECEIVED":   "BYTES_SENT",
	} {
		ops[alias] = ops[name]
	}
}

// addUnavailable adds what Envoy knows for HTTP only, so that formats written
// for Istio can be used as they are. For TCP Envoy prints the same.
func addUnavailable(ops map[string]operator) {
	for _, name := range []string{
		"PROTOCOL", "UPSTREAM_PROTOCOL", "RESPONSE_CODE_DETAILS", "ROUTE_NAME", "VIRTUAL_CLUSTER_NAME",
		"REQUEST_DURATION", "REQUEST_TX_DURATION", "RESPONSE_DURATION", "RESPONSE_TX_DURATION", "GRPC_STATUS", "GRPC_STATUS_NUMBER",
	} {
		ops[name] = literal("-")
	}
	ops["RESPONSE_CODE"] = literal("0")
	ops["HOSTNAME"] = literal(hostname())
}

// withArgument makes the operators that have one: NAME(argument).
func withArgument(name, argument string) (operator, error) {
	switch name {
	case "START_TIME":
		return startTime(argument)
	case "ENVIRONMENT":
		return literal(string(appendText(nil, os.Getenv(argument)))), nil
	case "REQ", "RESP", "TRAILER", "REQ_WITHOUT_QUERY", "GRPC_STATUS", "METADATA", "DYNAMIC_METADATA", "FILTER_STATE", "CEL":
		return literal("-"), nil
	}
	if _, known := operators()[name]; known {
		return nil, fmt.Errorf("%%%s%% takes no argument, but has (%s)", name, argument)
	}
	return nil, unknownOperator(name)
}

func unknownOperator(name string) error {
	names := slices.Sorted(maps.Keys(operators()))
	return fmt.Errorf("unknown operator %%%s%%; there are START_TIME(format), ENVIRONMENT(name), REQ(header), RESP(header), TRAILER(header), %s",
		name, strings.Join(names, ", "))
}

func literal(text string) operator {
	return func(dst []byte, _ config.LogEvent, _ *Record) []byte { return append(dst, text...) }
}

func textOp(get func(*Record) string) operator {
	return func(dst []byte, _ config.LogEvent, r *Record) []byte { return appendText(dst, get(r)) }
}

func sentenceOp(get func(*Record) string) operator {
	return func(dst []byte, _ config.LogEvent, r *Record) []byte { return appendSentence(dst, get(r)) }
}

func numberOp(get func(*Record) uint64) operator {
	return func(dst []byte, _ config.LogEvent, r *Record) []byte { return strconv.AppendUint(dst, get(r), 10) }
}

func flagsOp(names *[len(flagNames)]string) operator {
	return func(dst []byte, _ config.LogEvent, r *Record) []byte { return appendFlags(dst, r.Flags, names) }
}

func appendStart(dst []byte, _ config.LogEvent, r *Record) []byte {
	return appendTimestamp(dst, r.Start)
}

func appendConnect(dst []byte, _ config.LogEvent, r *Record) []byte {
	if r.Connect <= 0 {
		return append(dst, '-')
	}
	return strconv.AppendUint(dst, milliseconds(r.Connect), 10)
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "-"
	}
	return string(appendText(nil, name))
}
