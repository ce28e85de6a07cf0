package rules

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// localAddr is an address of this host and the device that has it.
type localAddr struct {
	prefix netip.Prefix // the address with its prefix length, not masked
	device string
}

func localAddrs(f Family) ([]localAddr, error) {
	devices, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing the devices: %w", err)
	}
	var out []localAddr
	for _, dev := range devices {
		addrs, err := dev.Addrs()
		if err != nil {
			return nil, fmt.Errorf("listing the addresses of %s: %w", dev.Name, err)
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Is4() == (f == IPv4) {
				out = append(out, localAddr{p, dev.Name})
			}
		}
	}
	return out, nil
}

// inboundAddr is an address of the pod that is not localhost. IPv4 always has
// 127.0.0.6; a pod without a global IPv6 address cannot be reached by IPv6.
func inboundAddr(f Family, local []localAddr) (netip.Addr, bool) {
	if f == IPv4 {
		return netip.MustParsePrefix(f.passthrough()).Addr(), true
	}
	return globalAddr(f, local)
}

// reachesOut reports whether the pod has an address to send from. In a pod of
// an IPv4 cluster ::1 is all that there is of IPv6: nothing to check.
func reachesOut(f Family, local []localAddr) bool {
	_, ok := globalAddr(f, local)
	return ok
}

func globalAddr(f Family, local []localAddr) (netip.Addr, bool) {
	passthrough := netip.MustParsePrefix(f.passthrough()).Addr()
	for _, l := range local {
		if a := l.prefix.Addr(); a.IsGlobalUnicast() && a != passthrough {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// outboundTarget finds an address that the rules must capture and that the
// routing table has a way to: the first packet is routed before it is
// redirected. Nothing is ever sent there.
func (o Options) outboundTarget(f Family, local []localAddr) (netip.AddrPort, error) {
	port := freePort(o.OutboundExcludePorts)
	candidates := prefixNeighbours(ofFamily(o.OutboundPrefixes.Prefixes, f))
	if o.OutboundPrefixes.All || len(o.OutboundPorts) > 0 {
		candidates = append(candidates, documentationAddr(f))
		for _, l := range local {
			candidates = append(candidates, prefixNeighbours([]netip.Prefix{l.prefix.Masked()})...)
		}
	}
	for _, addr := range candidates {
		target := netip.AddrPortFrom(addr, port)
		if !o.OutboundPrefixes.All && !o.includes(addr) {
			target = netip.AddrPortFrom(addr, o.OutboundPorts[0])
		}
		if !o.excludes(target) && !ownAddr(addr, local) && o.routed(target, local) {
			return target, nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("no address that the rules capture has a route (tried %v): "+
		"validate after the network of the pod is up, or leave the family out with --ipv6 off", candidates)
}

// documentationAddr is of TEST-NET-1 (RFC 5737) and of 2001:db8::/32 (RFC 3849).
func documentationAddr(f Family) netip.Addr {
	if f == IPv6 {
		return netip.MustParseAddr("2001:db8::1")
	}
	return netip.MustParseAddr("192.0.2.1")
}

// prefixNeighbours are a few addresses of each prefix, so that one is left
// when others are the host's own or excluded.
func prefixNeighbours(prefixes []netip.Prefix) []netip.Addr {
	const each = 4
	var out []netip.Addr
	for _, p := range prefixes {
		addr := p.Addr()
		if p.Bits() < addr.BitLen()-1 {
			addr = addr.Next() // the first is the network itself
		}
		for range each {
			if addr.IsValid() && p.Contains(addr) && !addr.IsLoopback() {
				out = append(out, addr)
			}
			addr = addr.Next()
		}
	}
	return out
}

func (o Options) includes(addr netip.Addr) bool {
	return slices.ContainsFunc(o.OutboundPrefixes.Prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func (o Options) excludes(target netip.AddrPort) bool {
	return slices.Contains(o.OutboundExcludePorts, target.Port()) ||
		slices.ContainsFunc(o.OutboundExclude, func(p netip.Prefix) bool { return p.Contains(target.Addr()) })
}

func ownAddr(addr netip.Addr, local []localAddr) bool {
	return addr.IsLoopback() || slices.ContainsFunc(local, func(l localAddr) bool { return l.prefix.Addr() == addr })
}

// routed asks the kernel by connecting a UDP socket, which sends nothing
// (connect(2)), and checks that the way does not lead through an excluded
// interface.
func (o Options) routed(target netip.AddrPort, local []localAddr) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target))
	if err != nil {
		return false
	}
	defer conn.Close()
	source := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	return !slices.ContainsFunc(local, func(l localAddr) bool {
		return l.prefix.Addr() == source && o.excludesDevice(l.device)
	})
}

func (o Options) excludesDevice(name string) bool {
	return slices.ContainsFunc(o.ExcludeInterfaces, func(e string) bool {
		stem, wildcard := strings.CutSuffix(e, "+")
		return e == name || wildcard && strings.HasPrefix(name, stem)
	})
}
