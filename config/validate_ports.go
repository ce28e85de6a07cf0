package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// socket is an address that the daemon will bind, and the key that asks for
// it.
type socket struct {
	path     string
	address  netip.AddrPort
	families string // for an address without a host: both; else ""
}

// ports finds addresses that cannot be bound together. Listeners set
// SO_REUSEPORT, so one of them on a wildcard and another on one IP with the
// same port are fine; the HTTP ports do not.
func (v *validator) ports(cfg *Config) {
	taken := httpSockets(cfg)
	for i, s := range taken {
		for _, earlier := range taken[:i] {
			if overlap(earlier, s) {
				v.add(s.path, "%s is already taken by %s", s.address, earlier.path)
			}
		}
	}
	for i, l := range cfg.Listeners {
		if !l.Bind || !l.Address.IsValid() {
			continue
		}
		path := fmt.Sprintf("listeners[%d].address", i)
		for _, s := range taken {
			if overlap(s, socket{address: l.Address}) {
				v.add(path, "%s is already taken by %s (%s)", l.Address, s.path, s.address)
			}
		}
	}
}

// httpSockets lists the addresses of the HTTP ports. Host names and unix
// sockets are left out: what they clash with shows only when they are bound.
func httpSockets(cfg *Config) []socket {
	var sockets []socket
	for _, s := range []struct{ path, address string }{
		{"admin.address", cfg.Admin.Address},
		{"metrics.address", cfg.Metrics.Address},
		{"readiness.address", cfg.Readiness.Address},
	} {
		host, port, err := net.SplitHostPort(s.address)
		if err != nil {
			continue
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			continue
		}
		families := ""
		if host == "" {
			host, families = "::", "both"
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			sockets = append(sockets, socket{s.path, netip.AddrPortFrom(ip.Unmap(), uint16(n)), families})
		}
	}
	return sockets
}

func overlap(a, b socket) bool {
	if a.address.Port() != b.address.Port() {
		return false
	}
	ipA, ipB := a.address.Addr(), b.address.Addr()
	if ipA == ipB || a.families != "" || b.families != "" {
		return true
	}
	return ipA.Is4() == ipB.Is4() && (ipA.IsUnspecified() || ipB.IsUnspecified())
}
