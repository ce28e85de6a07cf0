package listener

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// portTable maps ports; one that is not in it goes to any. Sorted slices beat
// a map here: 10,000 ports are 20 KB to search, without a pointer.
type portTable struct {
	ports []uint16 // ascending
	to    []ref    // parallel to ports
	any   ref
}

func (t *portTable) find(port uint16) ref {
	if i, ok := slices.BinarySearch(t.ports, port); ok {
		return t.to[i]
	}
	return t.any
}

// sourceTypes splits connections from this host from others. Chains that take
// both stand in the two places unless a specific one displaces them.
type sourceTypes struct{ local, external ref }

func (t *sourceTypes) find(f *Facts) ref {
	if f.local() {
		return t.local
	}
	return t.external
}

// prefixTable finds the longest prefix that contains an address. Nested
// prefixes are flattened into ranges that do not overlap, each with the
// longest prefix that covers it, so that a lookup is one binary search however
// many prefix lengths there are.
type prefixTable struct {
	starts4 []uint32 // where the ranges begin, ascending
	to4     []ref    // parallel to starts4
	starts6 []uint128
	to6     []ref
}

// uint128 is an IPv6 address as a number.
type uint128 struct{ hi, lo uint64 }

func (t *prefixTable) find(a netip.Addr) ref {
	switch {
	case !a.IsValid():
		return lastRange(t.to4, len(t.starts4))
	case a.Is6() && !a.Is4In6():
		return t.find6(toUint128(a))
	}
	return t.find4(toUint32(a))
}

func (t *prefixTable) find4(a uint32) ref {
	low, high := 0, len(t.starts4)
	for low < high {
		middle := int(uint(low+high) / 2)
		if t.starts4[middle] <= a {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return lastRange(t.to4, low)
}

func (t *prefixTable) find6(a uint128) ref {
	low, high := 0, len(t.starts6)
	for low < high {
		middle := int(uint(low+high) / 2)
		if s := t.starts6[middle]; s.hi < a.hi || s.hi == a.hi && s.lo <= a.lo {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return lastRange(t.to6, low)
}

// lastRange is the last of the first n ranges, those that begin at or before
// the address.
func lastRange(to []ref, n int) ref {
	if n == 0 {
		return noChain()
	}
	return to[n-1]
}

func toUint32(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func toUint128(a netip.Addr) uint128 {
	b := a.As16()
	return uint128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}
