package rules

import (
	"fmt"
	"net/netip"
)

// Ports that are never captured on the way in: the tunnel, the merged agent
// endpoint, readiness and metrics. They are the proxy's own, and kubelet and
// Prometheus must reach them whatever the configuration.
func ownInboundPorts() []uint16 { return []uint16{tunnelPort, 15020, 15021, 15090} }

// tunnelPort carries connections that are already meshed (Istio's HBONE).
const tunnelPort = 15008

// natTable redirects outbound connections, and inbound ones in Redirect mode.
// The order follows istio-iptables (tools/istio-iptables/pkg/capture/run.go);
// where it differs the comment says why.
func natTable(o Options, f Family) Table {
	t := Table{Name: tableNAT}
	inbound := o.Mode == Redirect && !o.InboundPorts.None()
	if inbound {
		t.Jumps = append(t.Jumps, Jump{"PREROUTING", "-p tcp -j " + chainInbound})
		t.Chains = append(t.Chains, natInbound(o), redirectChain(chainInRedirect, o.InboundPort))
	}
	t.Jumps = append(t.Jumps, Jump{"OUTPUT", "-p tcp -j " + chainOutput})
	t.Chains = append(t.Chains, natOutput(o, f), redirectChain(chainRedirect, o.OutboundPort))
	return t
}

func redirectChain(name string, port uint16) Chain {
	return Chain{Name: name, Rules: []string{fmt.Sprintf("-p tcp -j REDIRECT --to-ports %d", port)}}
}

func natInbound(o Options) Chain {
	c := Chain{Name: chainInbound}
	excludeInbound(&c, o)
	if o.InboundPorts.All {
		c.add("-p tcp -j " + chainInRedirect)
	}
	for _, port := range o.InboundPorts.Ports {
		c.add(toPort(port, chainInRedirect))
	}
	return c
}

// excludeInbound is the same in both modes. Interfaces are excluded here and
// not in PREROUTING as istio-iptables does: a RETURN there would also hide
// the packet from the user's own rules that follow.
func excludeInbound(c *Chain, o Options) {
	for _, dev := range o.ExcludeInterfaces {
		c.add(fmt.Sprintf("-i %s -j RETURN", dev))
	}
	for _, port := range ownInboundPorts() {
		c.add(toPort(port, "RETURN"))
	}
	for _, port := range o.InboundExclude {
		c.add(toPort(port, "RETURN"))
	}
}

func natOutput(o Options, f Family) Chain {
	c := Chain{Name: chainOutput}
	for _, dev := range o.ExcludeInterfaces {
		c.add(fmt.Sprintf("-o %s -j RETURN", dev))
	}
	for _, port := range o.OutboundExcludePorts {
		c.add(toPort(port, "RETURN"))
	}
	c.add(fmt.Sprintf("-s %s -o lo -j RETURN", f.passthrough()))
	outputOwners(&c, o, f)
	c.add(fmt.Sprintf("-d %s -j RETURN", f.loopback()))
	for _, p := range ofFamily(o.OutboundExclude, f) {
		c.add(fmt.Sprintf("-d %s -j RETURN", p))
	}
	for _, port := range o.OutboundPorts {
		c.add(toPort(port, chainRedirect))
	}
	if o.OutboundPrefixes.All {
		c.add("-j " + chainRedirect)
	}
	for _, p := range ofFamily(o.OutboundPrefixes.Prefixes, f) {
		c.add(fmt.Sprintf("-d %s -j %s", p, chainRedirect))
	}
	return c
}

// outputOwners decides by who sends. istio-iptables writes three rules for
// each uid and gid in turn, which goes wrong with more than one: the lo rule
// of the first ("not uid A: return") hides the second from its own rules.
// Here every owner passes the first kind of rule before the second follows.
//
// In TProxy mode the proxy's connection to its own pod is captured on lo by
// the mangle table instead: a redirected one would arrive at 127.0.0.1 and
// its original destination would be lost to a listener that reads the local
// address.
func outputOwners(c *Chain, o Options, f Family) {
	owners := ownerMatches(o)
	if o.Mode == Redirect && !o.InboundPorts.None() {
		for _, owner := range owners {
			c.add(fmt.Sprintf("! -d %s -o lo -p tcp -m tcp ! --dport %d %s -j %s",
				f.loopback(), tunnelPort, owner, chainInRedirect))
		}
	}
	if !o.loopbackIncluded() {
		c.add("-o lo -j RETURN")
	}
	for _, owner := range owners {
		c.add(owner + " -j RETURN")
	}
}

func ownerMatches(o Options) []string {
	var matches []string
	for _, uid := range o.ProxyUIDs {
		matches = append(matches, fmt.Sprintf("-m owner --uid-owner %d", uid))
	}
	for _, gid := range o.ProxyGIDs {
		matches = append(matches, fmt.Sprintf("-m owner --gid-owner %d", gid))
	}
	return matches
}

func toPort(port uint16, target string) string {
	return fmt.Sprintf("-p tcp -m tcp --dport %d -j %s", port, target)
}

func ofFamily(prefixes []netip.Prefix, f Family) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range prefixes {
		if p.Addr().Is4() == (f == IPv4) {
			out = append(out, p)
		}
	}
	return out
}
