package rules

import "fmt"

// mangleTable holds what TPROXY needs and the drop of invalid packets. It has
// no chains when neither is wanted.
//
// Two marks are in play (see docs/capture.md for the walk of a packet):
// TProxyMark leads to the routing table in which every address is local, and
// is also how the proxy marks (SO_MARK) its connection to the application
// that it opens from the client's address; outboundMark is put on what the
// proxy sends to its own pod over lo.
func mangleTable(o Options, f Family) Table {
	t := Table{Name: tableMangle}
	if o.DropInvalid {
		t.Jumps = append(t.Jumps, Jump{"PREROUTING", "-m conntrack --ctstate INVALID -j " + chainDrop})
		t.Chains = append(t.Chains, Chain{Name: chainDrop, Rules: []string{"-j DROP"}})
	}
	if o.tproxyInbound() {
		t.Jumps = append(t.Jumps,
			Jump{"PREROUTING", "-p tcp -j " + chainInbound},
			Jump{"OUTPUT", "-p tcp -j " + chainOutput})
		t.Chains = append(t.Chains, tproxyInbound(o, f), tproxyOutput(o, f), divertChain(o), tproxyChain(o, f))
	}
	return t
}

func tproxyInbound(o Options, f Family) Chain {
	c := Chain{Name: chainInbound}
	// The proxy's marked connection to the application: remember the mark
	// with the connection, so that ISTIO_OUTPUT can mark the replies. It came
	// over lo, so the rule for lo below lets it pass; istio-iptables has a
	// RETURN of its own for it.
	c.add(fmt.Sprintf("-p tcp -m mark --mark %#x -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff", o.TProxyMark))
	c.add(fmt.Sprintf("-s %s -i lo -p tcp -j RETURN", f.passthrough()))
	c.add(fmt.Sprintf("-i lo -p tcp -m mark ! --mark %#x -j RETURN", o.outboundMark()))
	excludeInbound(&c, o)
	if o.InboundPorts.All {
		c.add("-p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j " + chainDivert)
		c.add("-p tcp -j " + chainTProxy)
	}
	for _, port := range o.InboundPorts.Ports {
		c.add(fmt.Sprintf("-p tcp -m tcp --dport %d -m conntrack --ctstate RELATED,ESTABLISHED -j %s", port, chainDivert))
		c.add(toPort(port, chainTProxy))
	}
	return c
}

// tproxyOutput does not exclude interfaces, unlike istio-iptables: a reply of
// the application to the client's address must come back to the proxy even
// when the route to that client leads through an excluded interface.
// Connections that were not captured have no connection mark.
func tproxyOutput(o Options, f Family) Chain {
	c := Chain{Name: chainOutput}
	c.add(fmt.Sprintf("-o lo -p tcp -m mark --mark %#x -j RETURN", o.TProxyMark))
	for _, owner := range ownerMatches(o) {
		c.add(fmt.Sprintf("! -d %s -o lo -p tcp %s -j MARK --set-xmark %#x/0xffffffff",
			f.loopback(), owner, o.outboundMark()))
	}
	c.add(fmt.Sprintf("-p tcp -m connmark --mark %#x -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
		o.TProxyMark))
	return c
}

func divertChain(o Options) Chain {
	return Chain{Name: chainDivert, Rules: []string{
		fmt.Sprintf("-j MARK --set-xmark %#x/0xffffffff", o.TProxyMark),
		"-j ACCEPT",
	}}
}

func tproxyChain(o Options, f Family) Chain {
	return Chain{Name: chainTProxy, Rules: []string{
		fmt.Sprintf("! -d %s -p tcp -j TPROXY --on-port %d --on-ip %s --tproxy-mark %#x/0xffffffff",
			f.loopback(), o.InboundPort, f.anyAddress(), o.TProxyMark),
	}}
}
