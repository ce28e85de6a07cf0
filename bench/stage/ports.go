package stage

import (
	"fmt"
	"net"
	"net/netip"
)

// Ports of explicit mode: below those that the kernel gives to connections on
// their way out (net.ipv4.ip_local_port_range, from 32768), which under a load
// are all taken.
const (
	firstPort = 20000
	lastPort  = 29999
)

// ports are those given out, so that two programs that have yet to listen do
// not get the same.
type ports map[netip.AddrPort]bool

// freePorts returns n addresses of the loopback on which nobody listens.
func (s *Stage) freePorts(n int) ([]netip.AddrPort, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ports == nil {
		s.ports = ports{}
	}
	var found []netip.AddrPort
	for port := uint16(firstPort); port <= lastPort && len(found) < n; port++ {
		addr := netip.AddrPortFrom(loopback(), port)
		if s.ports[addr] || !isFree(addr) {
			continue
		}
		s.ports[addr] = true
		found = append(found, addr)
	}
	if len(found) < n {
		return nil, fmt.Errorf("find %d free ports on %s: all from %d to %d are taken", n, loopback(), firstPort, lastPort)
	}
	return found, nil
}

func isFree(addr netip.AddrPort) bool {
	listener, err := net.Listen("tcp", addr.String())
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// givePorts takes ports back.
func (s *Stage) givePorts(addrs ...netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, addr := range addrs {
		delete(s.ports, addr)
	}
}
