package listener

import "net/netip"

// entry is a prefix and where its addresses go.
type entry struct {
	prefix netip.Prefix
	to     ref
}

// boundary is an address at which a range begins, which ends before the next
// boundary.
type boundary struct {
	start netip.Addr
	to    ref
}

// flatten turns prefixes of one family, sorted by netip.Prefix.Compare, into
// ranges. In that order a prefix comes right before those inside it, so the
// prefixes around the current one form a stack.
func flatten(entries []entry) []boundary {
	var ranges []boundary
	var around []entry
	closeOne := func() {
		inner := around[len(around)-1]
		around = around[:len(around)-1]
		next := lastAddr(inner.prefix).Next()
		if !next.IsValid() {
			return // the family's last address
		}
		outer := noChain()
		if len(around) > 0 {
			outer = around[len(around)-1].to
		}
		ranges = addBoundary(ranges, boundary{next, outer})
	}
	for _, e := range entries {
		for len(around) > 0 && !around[len(around)-1].prefix.Contains(e.prefix.Addr()) {
			closeOne()
		}
		ranges = addBoundary(ranges, boundary{e.prefix.Addr(), e.to})
		around = append(around, e)
	}
	for len(around) > 0 {
		closeOne()
	}
	return ranges
}

// addBoundary appends b, which begins at or after the last one; at the same
// address it takes the last one's place.
func addBoundary(ranges []boundary, b boundary) []boundary {
	if n := len(ranges); n > 0 && ranges[n-1].start == b.start {
		ranges = ranges[:n-1]
	}
	if n := len(ranges); n > 0 && ranges[n-1].to == b.to {
		return ranges
	}
	return append(ranges, b)
}

// lastAddr is the highest address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		setHostBits(b[:], p.Bits())
		return netip.AddrFrom4(b)
	}
	b := p.Addr().As16()
	setHostBits(b[:], p.Bits())
	return netip.AddrFrom16(b)
}

func setHostBits(addr []byte, bits int) {
	for i := range addr {
		addr[i] |= 0xff >> min(8, max(0, bits-8*i))
	}
}

// newPrefixTable builds a table from prefixes sorted by netip.Prefix.Compare,
// which puts IPv4 first.
func newPrefixTable(entries []entry) prefixTable {
	first6 := 0
	for first6 < len(entries) && entries[first6].prefix.Addr().Is4() {
		first6++
	}
	ranges4, ranges6 := flatten(entries[:first6]), flatten(entries[first6:])
	t := prefixTable{
		starts4: make([]uint32, len(ranges4)),
		to4:     make([]ref, len(ranges4)),
		starts6: make([]uint128, len(ranges6)),
		to6:     make([]ref, len(ranges6)),
	}
	for i, r := range ranges4 {
		t.starts4[i], t.to4[i] = toUint32(r.start), r.to
	}
	for i, r := range ranges6 {
		t.starts6[i], t.to6[i] = toUint128(r.start), r.to
	}
	return t
}
