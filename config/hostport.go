package config

import (
	"net/netip"
	"strconv"
)

// HostPort is where an endpoint is: an IP address and a port, or the name of a
// host, for DNS to resolve, and a port.
type HostPort struct {
	netip.AddrPort        // with a Name only the port counts
	Name           string // "" = the address itself
}

// Address is the HostPort of an IP address.
func Address(a netip.AddrPort) HostPort { return HostPort{AddrPort: a} }

// Host is the HostPort of a name.
func Host(name string, port uint16) HostPort {
	return HostPort{AddrPort: netip.AddrPortFrom(netip.Addr{}, port), Name: name}
}

// IsValid says whether there is an address or a name; the port may be 0.
func (h HostPort) IsValid() bool { return h.Name != "" || h.AddrPort.IsValid() }

// String is host:port as a configuration has it, "" for the zero HostPort.
func (h HostPort) String() string {
	switch {
	case h.Name != "":
		return h.Name + ":" + strconv.Itoa(int(h.Port()))
	case h.AddrPort.IsValid():
		return h.AddrPort.String()
	}
	return ""
}
