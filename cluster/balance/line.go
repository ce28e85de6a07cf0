package balance

import (
	"math/bits"
	"slices"
	"sort"
)

// maxLength bounds lines, so that places on them and their products fit well
// into 32 and 64 bits. Shares are right to about one part in it.
const maxLength = 1 << 31

// line lays members out one after the other, each as long as its weight. Who
// stands at a place is found by a guide, with about one entry for each member,
// and a search among the few that begin between two entries.
type line struct {
	length uint32
	ends   []uint32 // where each member's part is over; nil: each is 1 long
	guide  []int32  // the member at each multiple of 1 << shift, and the last one
	shift  uint8
}

// newLine lays weights out. Whole ones keep their exact proportions as long as
// they fit; a weight above 0 is never lost.
func newLine(weights []float64) line {
	units := wholeUnits(weights)
	if units == nil {
		units = roundedUnits(weights)
	}
	l := line{length: uint32(len(weights))}
	if !slices.ContainsFunc(units, func(n uint32) bool { return n != 1 }) {
		return l
	}
	end := uint32(0)
	for i, n := range units {
		end += n
		units[i] = end
	}
	l.length, l.ends = end, units
	l.index()
	return l
}

// wholeUnits reduces weights by what divides all of them. It gives nil if they
// are not whole, or too large.
func wholeUnits(weights []float64) []uint32 {
	divisor, sum := uint64(0), uint64(0)
	for _, w := range weights {
		n := uint64(w)
		if float64(n) != w {
			return nil
		}
		divisor = gcd(divisor, n)
		sum += n
	}
	if divisor == 0 || sum/divisor > maxLength {
		return nil
	}
	units := make([]uint32, len(weights))
	for i, w := range weights {
		units[i] = uint32(uint64(w) / divisor)
	}
	return units
}

// roundedUnits scales weights to a length of maxLength. The ends are rounded
// and not the parts, so that errors do not add up.
func roundedUnits(weights []float64) []uint32 {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	units := make([]uint32, len(weights))
	at, end := 0.0, uint32(0)
	for i, w := range weights {
		at += w
		next := max(end+1, uint32(at/sum*maxLength+0.5))
		units[i] = next - end
		end = next
	}
	return units
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// index makes the guide.
func (l *line) index() {
	l.shift = uint8(max(0, bits.Len32(l.length)-bits.Len(uint(len(l.ends)))-1))
	l.guide = make([]int32, l.length>>l.shift+2)
	member := int32(0)
	for i := range l.guide {
		at := uint64(i) << l.shift
		for int(member) < len(l.ends)-1 && uint64(l.ends[member]) <= at {
			member++
		}
		l.guide[i] = member
	}
}

// at is the member at a place below length.
func (l *line) at(place uint32) int32 {
	if l.ends == nil {
		return int32(place)
	}
	entry := place >> l.shift
	first, last := l.guide[entry], l.guide[entry+1]
	if last-first > 8 {
		return first + int32(sort.Search(int(last-first), func(i int) bool { return l.ends[first+int32(i)] > place }))
	}
	for l.ends[first] <= place {
		first++
	}
	return first
}

// scaled is the place that a random number stands for.
func (l *line) scaled(random uint64) uint32 {
	high, _ := bits.Mul64(random, uint64(l.length))
	return uint32(high)
}

// part is how long a member's part is.
func (l *line) part(member int32) uint32 {
	switch {
	case l.ends == nil:
		return 1
	case member == 0:
		return l.ends[0]
	}
	return l.ends[member] - l.ends[member-1]
}

// shares are the members' parts of the whole.
func (l *line) shares(members int) []float64 {
	shares := make([]float64, members)
	for i := range shares {
		shares[i] = float64(l.part(int32(i))) / float64(l.length)
	}
	return shares
}
