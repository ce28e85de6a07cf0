package dns

import (
	"net/netip"
	"slices"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// maxAddrs bounds the endpoints that one name makes. A message has room for
// 4,000 A records; who has more of them than this wants another kind of
// discovery.
const maxAddrs = 5000

// Answer is what a lookup found.
type Answer struct {
	// Addrs are sorted, without duplicates, IPv4 ones in their short form, and
	// at least one. They belong to the caller.
	Addrs []netip.Addr
	// First is the address that the server put first, of the preferred family:
	// what a cluster of type logical_dns connects to.
	First netip.Addr
	// TTL is how long the answer holds: the least of all records that led to
	// it. 0 where no record says it, as for names from the hosts file.
	TTL time.Duration
	// Left is how many addresses more than 5,000 there were. Which ones are
	// left out does not depend on the order in which they came.
	Left int
}

// section is the addresses of a family in the order of the message.
type section struct {
	addrs []netip.Addr
	ttl   time.Duration
}

// choose makes the answer of what was found for each family, as Envoy's
// DnsLookupFamily. ok is false where no family that counts has addresses.
func choose(family config.LookupFamily, v4, v6 section) (a Answer, ok bool) {
	var use []section
	switch family {
	case config.LookupV4Only:
		use = []section{v4}
	case config.LookupV6Only:
		use = []section{v6}
	case config.LookupV4Preferred:
		use = []section{firstFilled(v4, v6)}
	case config.LookupAll:
		use = []section{v6, v4}
	default:
		use = []section{firstFilled(v6, v4)}
	}
	for _, s := range use {
		if len(s.addrs) == 0 {
			continue
		}
		if len(a.Addrs) == 0 {
			a.First, a.TTL = s.addrs[0], s.ttl
		}
		a.Addrs = append(a.Addrs, s.addrs...)
		a.TTL = min(a.TTL, s.ttl)
	}
	slices.SortFunc(a.Addrs, netip.Addr.Compare)
	a.Addrs = slices.Compact(a.Addrs)
	if len(a.Addrs) > maxAddrs {
		a.Left = len(a.Addrs) - maxAddrs
		a.Addrs = a.Addrs[:maxAddrs]
	}
	return a, len(a.Addrs) > 0
}

func firstFilled(preferred, other section) section {
	if len(preferred.addrs) > 0 {
		return preferred
	}
	return other
}
