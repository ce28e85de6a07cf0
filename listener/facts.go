package listener

import (
	"net/netip"

	"github.com/sluiceproxy/sluice/config"
)

// Facts are what is known about a connection when its filter chain is chosen.
// IPv4-mapped IPv6 addresses count as IPv4 everywhere. An address that is not
// known (the zero Addr) is looked up as 255.255.255.255, as Envoy does for
// Unix-domain sockets: in practice only chains that do not ask match it.
//
// The last three come from inspecting the client's first bytes. While they are
// empty, only chains that do not ask for them match. Envoy calls whatever is
// not seen to be TLS raw_buffer, also where nothing has looked; that is for
// the caller to say.
type Facts struct {
	Destination  netip.AddrPort // the original destination
	DirectSource netip.Addr     // the socket's peer
	Source       netip.AddrPort // the client: the peer, or what PROXY protocol said

	ServerName           string // as the client sent it, in any case; "" = none
	TransportProtocol    config.TransportProtocol
	ApplicationProtocols []string // in the client's order, which decides
}

// local tells whether the client is this host itself. Envoy's
// Network::Utility::isSameIpOrLoopback takes only 127.0.0.1 and ::1 for
// loopback, not all of 127.0.0.0/8: a sidecar's own connections from 127.0.0.6
// are external unless they go to 127.0.0.6.
func (f *Facts) local() bool {
	source := f.Source.Addr().Unmap().WithZone("")
	return source == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || source == netip.IPv6Loopback() ||
		source == f.Destination.Addr().Unmap().WithZone("")
}
