package policy

import "net/netip"

// answer is what a condition says; greater is surer.
type answer int8

const (
	no answer = iota
	unknown
	yes
)

// fact says which of the Facts a condition is about.
type fact int8

const (
	sourceIP fact = iota
	directSourceIP
	destinationIP
	destinationPort
	serverName
)

// condition is one list of a policy. Only the set of its fact is filled.
type condition struct {
	field string // its key, such as not_source_ips
	fact  fact
	not   bool
	addrs spans[netip.Addr]
	ports spans[uint16]
	names names
}

// answer expects Facts that are normal.
func (c *condition) answer(f *Facts) answer {
	var in, known bool
	switch c.fact {
	case sourceIP:
		in, known = c.addrs.contain(f.Source), f.Source.IsValid()
	case directSourceIP:
		in, known = c.addrs.contain(f.DirectSource), f.DirectSource.IsValid()
	case destinationIP:
		in, known = c.addrs.contain(f.Destination.Addr()), f.Destination.IsValid()
	case destinationPort:
		in, known = c.ports.contain(f.Destination.Port()), f.Destination.IsValid()
	case serverName:
		in, known = c.names.contain(f.ServerName), !f.ServerNameUnknown
	}
	switch {
	case !known:
		return unknown
	case in != c.not:
		return yes
	}
	return no
}

// covers tells whether every value of other is one of c. Both are about the
// same fact.
func (c *condition) covers(other *condition) bool {
	switch c.fact {
	case destinationPort:
		return c.ports.cover(other.ports)
	case serverName:
		return c.names.cover(other.names)
	}
	return c.addrs.cover(other.addrs)
}
