package policy

import (
	"cmp"
	"net/netip"
	"slices"
)

// spans is a set of values in order, kept as the fewest spans that hold them.
type spans[T any] struct {
	list    []span[T]
	compare func(T, T) int
}

// span is the values from first to last, both included.
type span[T any] struct{ first, last T }

// newSpans takes list over. next is the value after another.
func newSpans[T any](list []span[T], compare func(T, T) int, next func(T) T) spans[T] {
	slices.SortFunc(list, func(a, b span[T]) int { return compare(a.first, b.first) })
	merged := list[:0]
	for _, s := range list {
		if n := len(merged); n > 0 {
			before := &merged[n-1]
			if compare(s.first, before.last) <= 0 || compare(s.first, next(before.last)) == 0 {
				if compare(s.last, before.last) > 0 {
					before.last = s.last
				}
				continue
			}
		}
		merged = append(merged, s)
	}
	return spans[T]{slices.Clip(merged), compare}
}

// newAddrs wants prefixes without IPv4-mapped ones. Addr.Compare puts IPv4
// first, so the families share one list and never one span.
func newAddrs(prefixes []netip.Prefix) spans[netip.Addr] {
	list := make([]span[netip.Addr], len(prefixes))
	for i, p := range prefixes {
		list[i] = span[netip.Addr]{p.Masked().Addr(), lastAddr(p)}
	}
	return newSpans(list, netip.Addr.Compare, netip.Addr.Next)
}

func newPorts(ranges []PortRange) spans[uint16] {
	list := make([]span[uint16], len(ranges))
	for i, r := range ranges {
		list[i] = span[uint16]{r.First, r.Last}
	}
	return newSpans(list, cmp.Compare[uint16], func(p uint16) uint16 { return p + 1 })
}

func (s spans[T]) contain(value T) bool {
	low, high := 0, len(s.list)
	for low < high {
		middle := (low + high) / 2
		if s.compare(s.list[middle].last, value) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low < len(s.list) && s.compare(s.list[low].first, value) <= 0
}

// cover tells whether s has every value of other.
func (s spans[T]) cover(other spans[T]) bool {
	for _, o := range other.list {
		inside := func(mine span[T]) bool {
			return s.compare(mine.first, o.first) <= 0 && s.compare(o.last, mine.last) <= 0
		}
		if !slices.ContainsFunc(s.list, inside) {
			return false
		}
	}
	return true
}

// lastAddr is the highest address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	bytes := p.Addr().AsSlice()
	for i := range bytes {
		bytes[i] |= 0xff >> min(8, max(0, p.Bits()-8*i))
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}
