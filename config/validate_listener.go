package config

import (
	"fmt"
	"net/netip"
)

func (v *validator) listeners(listeners []Listener) {
	names := make(map[string]string, len(listeners))
	addresses := make(map[netip.AddrPort]string, len(listeners))
	handsOver := false
	for i := range listeners {
		handsOver = handsOver || listeners[i].Bind && listeners[i].UseOriginalDst
	}
	for i := range listeners {
		l := &listeners[i]
		path := fmt.Sprintf("listeners[%d]", i)
		v.name(path+".name", l.Name, names)
		v.listenerAddress(path+".address", l.Address, addresses)
		v.handOver(path, l, handsOver)
		oneOf(v, path+".direction", l.Direction, Directions())
		oneOf(v, path+".interception_mode", l.InterceptionMode, InterceptionModes())
		v.listenerFilters(path, l)
		v.limit(path+".max_connections", l.MaxConnections)
		v.keepalive(path+".tcp_keepalive", l.TCPKeepalive)
		v.chains(path, l)
	}
}

// listenerAddress checks an address and that no other listener has it: two
// could share it through SO_REUSEPORT, and the kernel would then pick the
// listener by chance.
func (v *validator) listenerAddress(path string, a netip.AddrPort, seen map[netip.AddrPort]string) {
	if !a.IsValid() {
		v.add(path, "is required: IP:port, such as 0.0.0.0:15006 or [::]:15006")
		return
	}
	if a.Port() == 0 {
		v.add(path, "must have a port from 1 to 65535, not 0")
		return
	}
	if a.Addr().Zone() != "" {
		v.add(path, "must not have a zone (%s has)", a)
	}
	if first, ok := seen[a]; ok {
		v.add(path, "%s is already the address of %s", a, first)
		return
	}
	seen[a] = path[:len(path)-len(".address")]
}

// handOver checks bind and use_original_dst; handsOver tells whether any
// bound listener hands connections over.
func (v *validator) handOver(path string, l *Listener, handsOver bool) {
	switch {
	case l.UseOriginalDst && !l.Bind:
		v.add(path+".use_original_dst", "must be false with bind: false: connections are handed over once, by the listener that accepted them")
	case l.UseOriginalDst && l.InterceptionMode == InterceptNone:
		v.add(path+".use_original_dst", "needs interception_mode redirect or tproxy: with none there is no original destination")
	case !l.Bind && !handsOver:
		v.add(path+".bind", "false makes this listener unreachable: no bound listener has use_original_dst: true")
	}
}

func (v *validator) chains(path string, l *Listener) {
	if len(l.FilterChains) == 0 && l.DefaultFilterChain == nil {
		v.add(path+".filter_chains", "at least one filter chain or a default_filter_chain is required")
	}
	names := make(map[string]string, len(l.FilterChains)+1)
	for i := range l.FilterChains {
		v.chain(fmt.Sprintf("%s.filter_chains[%d]", path, i), &l.FilterChains[i], l, names)
	}
	if l.DefaultFilterChain != nil {
		v.chain(path+".default_filter_chain", l.DefaultFilterChain, l, names)
		if !isEmptyMatch(&l.DefaultFilterChain.Match) {
			v.add(path+".default_filter_chain.match", "must be left out: the default chain takes whatever matches no other")
		}
	}
}

func (v *validator) chain(path string, c *FilterChain, l *Listener, names map[string]string) {
	v.name(path+".name", c.Name, names)
	v.match(path+".match", &c.Match)
	v.inspected(path+".match", &c.Match, l)
	v.policies(path, c, l)
	v.tcpProxy(path+".tcp_proxy", &c.TCPProxy, l)
	v.accessLogs(path+".access_log", c.AccessLog)
}
