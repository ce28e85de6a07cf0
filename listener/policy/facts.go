package policy

import "net/netip"

// Facts are what is known about a connection. IPv4-mapped IPv6 addresses count
// as IPv4, and zones do not count.
//
// What is not known is an address that is the zero Addr, or a server name with
// ServerNameUnknown. A condition on it, negated or not, counts as met in deny
// and log policies and as not met in allow policies.
type Facts struct {
	Source       netip.Addr     // the client: the peer, or what PROXY protocol said
	DirectSource netip.Addr     // the socket's peer
	Destination  netip.AddrPort // the original destination
	ServerName   string         // "" = the client named none

	// ServerNameUnknown: nobody has looked for a name, or could not read what
	// the client sent. It is not the same as a client that named none, whom
	// not_server_names lets through, in Envoy too.
	ServerNameUnknown bool
}

// normal is f as conditions want it. It copies a server name only if that has
// upper-case letters, which no inspector leaves.
func (f *Facts) normal() Facts {
	return Facts{
		Source:            plain(f.Source),
		DirectSource:      plain(f.DirectSource),
		Destination:       netip.AddrPortFrom(plain(f.Destination.Addr()), f.Destination.Port()),
		ServerName:        lower(f.ServerName),
		ServerNameUnknown: f.ServerNameUnknown,
	}
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
