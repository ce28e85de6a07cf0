package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/sluiceproxy/sluice/intercept/rules"
)

// iptablesFlags are the flags of istio-iptables (tools/istio-iptables/pkg/cmd)
// as they were given. Text, because an empty list and "*" mean something.
type iptablesFlags struct {
	envoyPort, inboundCapturePort            string
	proxyUID, proxyGID                       string
	mode                                     string
	inboundPorts, localExcludePorts          string
	serviceCIDR, serviceExcludeCIDR          string
	outboundPorts, localOutboundPortsExclude string
	excludeInterfaces                        string
	tproxyMark, tproxyRouteTable             string
	ipv6                                     string
	dropInvalid                              bool
}

func (f *iptablesFlags) register(set *pflag.FlagSet) {
	set.StringVarP(&f.envoyPort, "envoy-port", "p", "15001", "port that outbound connections are sent to")
	set.StringVarP(&f.inboundCapturePort, "inbound-capture-port", "z", "15006", "port that inbound connections are sent to")
	set.StringVarP(&f.proxyUID, "proxy-uid", "u", "1337", "users whose connections are not captured, comma-separated: the proxy's")
	set.StringVarP(&f.proxyGID, "proxy-gid", "g", "1337", "groups whose connections are not captured, comma-separated: the proxy's")
	set.StringVarP(&f.mode, "istio-inbound-interception-mode", "m", "REDIRECT", "REDIRECT or TPROXY")
	set.StringVarP(&f.inboundPorts, "istio-inbound-ports", "b", "*", `inbound ports to capture: "*", a comma-separated list, or "" for none`)
	set.StringVarP(&f.localExcludePorts, "istio-local-exclude-ports", "d", "",
		"inbound ports not to capture, comma-separated (15008, 15020, 15021 and 15090 never are)")
	set.StringVarP(&f.serviceCIDR, "istio-service-cidr", "i", "*", `outbound CIDRs to capture: "*", a comma-separated list, or "" for none`)
	set.StringVarP(&f.serviceExcludeCIDR, "istio-service-exclude-cidr", "x", "", "outbound CIDRs not to capture, comma-separated")
	set.StringVarP(&f.outboundPorts, "istio-outbound-ports", "q", "", "outbound ports to capture whatever the CIDR, comma-separated")
	set.StringVarP(&f.localOutboundPortsExclude, "istio-local-outbound-ports-exclude", "o", "",
		"outbound ports not to capture, comma-separated")
	set.StringVarP(&f.excludeInterfaces, "istio-exclude-interfaces", "c", "", "interfaces on which nothing is captured, comma-separated")
	set.StringVarP(&f.tproxyMark, "inbound-tproxy-mark", "t", "1337", "packet mark for TPROXY (the next higher one is used too)")
	set.StringVarP(&f.tproxyRouteTable, "inbound-tproxy-route-table", "r", "133", "routing table for TPROXY")
	set.BoolVar(&f.dropInvalid, "drop-invalid", false, "drop packets that conntrack calls invalid, before they reset a connection")
	set.StringVar(&f.ipv6, "ipv6", "auto", "auto (when this network namespace has an IPv6 address), on or off")
}

// parse turns the flags into options. Errors are usage errors that name the
// flag.
func (f *iptablesFlags) parse() (rules.Options, []rules.Family, error) {
	o := rules.Options{DropInvalid: f.dropInvalid}
	p := flagParser{}
	take(&p, "envoy-port", f.envoyPort, rules.ParsePort, &o.OutboundPort)
	take(&p, "inbound-capture-port", f.inboundCapturePort, rules.ParsePort, &o.InboundPort)
	take(&p, "proxy-uid", f.proxyUID, rules.ParseIDs, &o.ProxyUIDs)
	take(&p, "proxy-gid", f.proxyGID, rules.ParseIDs, &o.ProxyGIDs)
	take(&p, "istio-inbound-interception-mode", f.mode, rules.ParseMode, &o.Mode)
	take(&p, "istio-inbound-ports", f.inboundPorts, rules.ParsePortSet, &o.InboundPorts)
	take(&p, "istio-local-exclude-ports", f.localExcludePorts, rules.ParsePorts, &o.InboundExclude)
	take(&p, "istio-service-cidr", f.serviceCIDR, rules.ParsePrefixSet, &o.OutboundPrefixes)
	take(&p, "istio-service-exclude-cidr", f.serviceExcludeCIDR, rules.ParsePrefixes, &o.OutboundExclude)
	take(&p, "istio-outbound-ports", f.outboundPorts, rules.ParsePorts, &o.OutboundPorts)
	take(&p, "istio-local-outbound-ports-exclude", f.localOutboundPortsExclude, rules.ParsePorts, &o.OutboundExcludePorts)
	take(&p, "istio-exclude-interfaces", f.excludeInterfaces, rules.ParseInterfaces, &o.ExcludeInterfaces)
	take(&p, "inbound-tproxy-mark", f.tproxyMark, rules.ParseNumber, &o.TProxyMark)
	take(&p, "inbound-tproxy-route-table", f.tproxyRouteTable, rules.ParseNumber, &o.TProxyTable)
	var families []rules.Family
	take(&p, "ipv6", f.ipv6, parseFamilies, &families)
	if p.err != nil {
		return o, nil, &exitError{exitUsage, p.err}
	}
	return o, families, nil
}

// flagParser keeps the first error.
type flagParser struct{ err error }

func take[T any](p *flagParser, flag, value string, parse func(string) (T, error), into *T) {
	v, err := parse(value)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("--%s: %w", flag, err)
	}
	*into = v
}

func parseFamilies(s string) ([]rules.Family, error) {
	on := s == "on"
	switch s {
	case "on", "off":
	case "auto":
		var err error
		if on, err = rules.HasIPv6(); err != nil {
			return nil, fmt.Errorf("finding out whether this host has IPv6 (say on or off instead): %w", err)
		}
	default:
		return nil, fmt.Errorf("%w: %q: use auto, on or off", rules.ErrOption, s)
	}
	if on {
		return []rules.Family{rules.IPv4, rules.IPv6}, nil
	}
	return []rules.Family{rules.IPv4}, nil
}
