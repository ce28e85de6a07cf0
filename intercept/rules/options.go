package rules

import (
	"fmt"
	"math"
	"net/netip"
)

// Mode is how inbound connections are captured. Outbound ones are always
// redirected, as in Istio.
type Mode string

const (
	// Redirect rewrites the destination; the proxy asks for SO_ORIGINAL_DST.
	Redirect Mode = "REDIRECT"
	// TProxy leaves the packet as it is; the proxy's socket needs
	// IP_TRANSPARENT and sees the original destination as its local address.
	TProxy Mode = "TPROXY"
)

// PortSet is a list of ports or all of them. The zero value is none.
type PortSet struct {
	All   bool
	Ports []uint16
}

// None reports whether no port is meant.
func (s PortSet) None() bool { return !s.All && len(s.Ports) == 0 }

// PrefixSet is a list of CIDRs or all addresses. The zero value is none.
type PrefixSet struct {
	All      bool
	Prefixes []netip.Prefix
}

// Options say what is captured; Default has Istio's values. One set of
// Options serves both families: a prefix counts for its own family only.
type Options struct {
	Mode         Mode
	OutboundPort uint16 // where outbound connections are sent, 15001
	InboundPort  uint16 // where inbound connections are sent, 15006

	// Sockets of these users or groups are the proxy's own and are not
	// captured again. At least one user or group must be given.
	ProxyUIDs []uint32
	ProxyGIDs []uint32

	InboundPorts   PortSet
	InboundExclude []uint16 // wins over InboundPorts

	OutboundPrefixes PrefixSet
	OutboundExclude  []netip.Prefix // wins over OutboundPrefixes and OutboundPorts
	OutboundPorts    []uint16       // captured whatever the prefix
	// Wins over everything else that is outbound.
	OutboundExcludePorts []uint16

	ExcludeInterfaces []string // neither way captured; a trailing + is iptables' wildcard
	DropInvalid       bool     // drop what conntrack calls INVALID (istio#36489)

	// The packet mark of captured inbound packets and the routing table it
	// leads to; TProxy only. TProxyMark+1 is used too, see outboundMark.
	TProxyMark  uint32
	TProxyTable uint32
}

// Default returns the options of a sidecar with nothing set.
func Default() Options {
	return Options{
		Mode:             Redirect,
		OutboundPort:     15001,
		InboundPort:      15006,
		ProxyUIDs:        []uint32{1337},
		ProxyGIDs:        []uint32{1337},
		InboundPorts:     PortSet{All: true},
		OutboundPrefixes: PrefixSet{All: true},
		TProxyMark:       1337,
		TProxyTable:      133,
	}
}

// Validate reports the first option that cannot work, wrapping ErrOption.
func (o Options) Validate() error {
	switch {
	case o.Mode != Redirect && o.Mode != TProxy:
		return fmt.Errorf("%w: interception mode %q: use REDIRECT or TPROXY", ErrOption, o.Mode)
	case o.OutboundPort == 0 || o.InboundPort == 0:
		return fmt.Errorf("%w: a capture port is 0: use 1 to 65535", ErrOption)
	case o.OutboundPort == o.InboundPort:
		return fmt.Errorf("%w: port %d is to capture both outbound and inbound: the proxy could not tell them apart, use two ports",
			ErrOption, o.OutboundPort)
	case len(o.ProxyUIDs) == 0 && len(o.ProxyGIDs) == 0:
		return fmt.Errorf("%w: neither a proxy uid nor a gid: the proxy's own connections would be captured again without end",
			ErrOption)
	case o.Mode == TProxy && (o.TProxyMark == 0 || o.TProxyMark == math.MaxUint32):
		return fmt.Errorf("%w: TPROXY mark %d: use 1 to %d (the next higher mark is used too)",
			ErrOption, o.TProxyMark, uint32(math.MaxUint32-1))
	case o.Mode == TProxy && reservedTable(o.TProxyTable):
		return fmt.Errorf("%w: TPROXY route table %d belongs to the kernel (0, 253 to 255): use another, such as 133",
			ErrOption, o.TProxyTable)
	}
	return nil
}

// reservedTable: unspec, default, main and local of rtnetlink(7).
func reservedTable(table uint32) bool { return table == 0 || (table >= 253 && table <= 255) }

// tproxyInbound reports whether the TPROXY rules and routes are needed.
func (o Options) tproxyInbound() bool { return o.Mode == TProxy && !o.InboundPorts.None() }

// outboundMark marks what the proxy sends to its own pod over lo, so that the
// TPROXY rules, which must leave lo alone otherwise, capture it as inbound.
// Istio calls it OutboundMark and has 1338.
func (o Options) outboundMark() uint32 { return o.TProxyMark + 1 }

// loopbackIncluded: whoever names a loopback prefix wants lo captured
// (Istio's HasLoopBackIP).
func (o Options) loopbackIncluded() bool {
	for _, p := range o.OutboundPrefixes.Prefixes {
		if p.Addr().IsLoopback() {
			return true
		}
	}
	return false
}
