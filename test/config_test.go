package test

import (
	"fmt"
	"strings"
)

// head starts a configuration whose lines are in the access log at once.
const head = `
concurrency: 2
access_log: [{path: $LOG, format: json, flush_interval: 1ms}]
`

// settings are what tests change about the usual sidecar.
type settings struct {
	mode  capture
	top   string // more top-level keys, one a line
	drain string // the value of drain; "": stops at once when idle
	tcp   string // more keys of every tcp_proxy: "idle_timeout: 1s"
	more  string // more keys of every listener
}

// sidecarText is a sidecar that passes everything through, IPv4 and IPv6, both
// ways, like configs/sidecar.yaml.
func sidecarText(o settings) string {
	var b strings.Builder
	b.WriteString(head + o.top)
	if o.drain == "" {
		o.drain = "{time: 10s, min_time: 0s, strategy: immediate}"
	}
	fmt.Fprintf(&b, "drain: %s\nlisteners:\n", o.drain)
	for _, family := range []struct{ suffix, wildcard string }{{"", "0.0.0.0"}, {"-ipv6", "[::]"}} {
		for _, l := range []struct {
			name, direction, cluster string
			port                     int
			mode                     capture
		}{
			{"virtualOutbound", "outbound", "Passthrough", 15001, redirect},
			{"virtualInbound", "inbound", "InboundPassthrough" + family.suffix, 15006, o.mode},
		} {
			fmt.Fprintf(&b, "- name: %s%s\n  address: \"%s:%d\"\n  direction: %s\n  interception_mode: %s\n",
				l.name, family.suffix, family.wildcard, l.port, l.direction, l.mode)
			if o.more != "" {
				fmt.Fprintf(&b, "  %s\n", o.more)
			}
			fmt.Fprintf(&b, "  default_filter_chain: {name: %s-passthrough, tcp_proxy: {cluster: %s%s}}\n",
				l.name, l.cluster, commaBefore(o.tcp))
		}
	}
	b.WriteString("clusters:\n")
	for _, c := range []struct{ name, more string }{
		{"Passthrough", ""},
		{"InboundPassthrough", source(o.mode, "127.0.0.6")},
		{"InboundPassthrough-ipv6", source(o.mode, "\"::6\"")},
	} {
		fmt.Fprintf(&b, "- {name: %s, type: original_dst, circuit_breakers: {max_connections: 4294967295}%s}\n", c.name, commaBefore(c.more))
	}
	return b.String()
}

// source is where inbound connections are dialled from.
func source(mode capture, bind string) string {
	if mode == tproxy {
		return "transparent_source: true"
	}
	return "upstream_bind_address: " + bind
}

func commaBefore(keys string) string {
	if keys == "" {
		return ""
	}
	return ", " + keys
}

// gateway is a listener without interception that leads to endpoints of its
// own cluster of the same name.
type gateway struct {
	name      string
	port      int
	endpoints []string
	tcp       string // more keys of the tcp_proxy
	cluster   string // more keys of the cluster
	listener  string // more keys of the listener
}

// gatewayText is a configuration of gateways.
func gatewayText(top string, gateways ...gateway) string {
	var listeners, clusters strings.Builder
	for _, g := range gateways {
		fmt.Fprintf(&listeners, "- {name: %s, address: 0.0.0.0:%d%s, default_filter_chain: {name: %[1]s, tcp_proxy: {cluster: %[1]s%[4]s}}}\n",
			g.name, g.port, commaBefore(g.listener), commaBefore(g.tcp))
		fmt.Fprintf(&clusters, "- name: %s\n  endpoints: [", g.name)
		for i, e := range g.endpoints {
			fmt.Fprintf(&clusters, "%s{address: \"%s\"}", []string{"", ", "}[min(i, 1)], e)
		}
		clusters.WriteString("]\n")
		if g.cluster != "" {
			fmt.Fprintf(&clusters, "  %s\n", g.cluster)
		}
	}
	return head + top + "listeners:\n" + listeners.String() + "clusters:\n" + clusters.String()
}

// quickDrain ends at once when idle.
const quickDrain = "drain: {time: 10s, min_time: 0s, strategy: immediate}\n"

// withListener adds a listener to a configuration.
func withListener(text, listener string) string {
	return strings.Replace(text, "\nlisteners:\n", "\nlisteners:\n"+listener, 1)
}
