package cluster

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// maxSlots bounds a schedule, and with it memory (256 KiB) and the time to
// make it. Weights whose reduced sum is larger are scaled down; shares are
// then right to about one part in maxSlots.
const maxSlots = 1 << 16

var errNoWeight = errors.New("no weight is above 0")

// schedule is one full round of a smooth weighted round robin, written out, so
// that a turn is an atomic addition and a table lookup. Each round gives each
// member exactly its share, however many loops take turns.
type schedule struct {
	slots  []int32 // members' places in the order of their turns
	_      [64]byte
	cursor atomic.Uint64
	_      [56]byte
}

// turn takes the next turn.
func (s *schedule) turn() uint64 { return s.cursor.Add(1) - 1 }

// at is the member whose turn it is.
func (s *schedule) at(turn uint64) int32 { return s.slots[turn%uint64(len(s.slots))] }

// shares are the parts of all turns that members have, in percent.
func (s *schedule) shares(members int) []float64 {
	list := make([]float64, members)
	for _, member := range s.slots {
		list[member]++
	}
	for i := range list {
		list[i] *= 100 / float64(len(s.slots))
	}
	return list
}

// newSchedule makes a schedule for members 0 to len(weights)-1. A weight of 0
// gets no turn. It begins at a random turn: many sidecars that start with the
// same configuration must not begin with the same endpoint.
func newSchedule(weights []uint32) (*schedule, error) {
	slots := smooth(reduce(weights))
	if len(slots) == 0 {
		return nil, errNoWeight
	}
	s := &schedule{slots: slots}
	s.cursor.Store(rand.Uint64N(uint64(len(slots))))
	return s, nil
}

// reduce turns weights into how many slots each gets: as few as keep the
// proportions, at most about maxSlots, and at least one for each weight above 0.
func reduce(weights []uint32) []int {
	counts := make([]int, len(weights))
	divisor, sum := 0, 0
	for i, w := range weights {
		counts[i] = int(w)
		divisor = gcd(divisor, int(w))
		sum += int(w)
	}
	if divisor == 0 {
		return counts
	}
	if sum/divisor > maxSlots {
		for i, n := range counts {
			if n > 0 {
				// Up to 2^32 by 2^16 stays far from int's end.
				counts[i] = max(1, (n*maxSlots+sum/2)/sum)
			}
		}
		divisor = 0
		for _, n := range counts {
			divisor = gcd(divisor, n)
		}
	}
	for i := range counts {
		counts[i] /= divisor
	}
	return counts
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// class is the members that have the same number of slots: they take the
// class's turns one after the other.
type class struct {
	members []int32
	weight  int // slots of all members together
	current int
	next    int // member
}

// smooth spreads slots as nginx's smooth weighted round robin does
// (ngx_stream_upstream_round_robin.c): at each turn everyone's current value
// grows by its weight, the highest has the turn and loses the sum of all
// weights. Running it over classes of equal weight instead of over members
// spreads no worse and makes the cost slots times distinct weights. Distinct slot counts that add
// up to at most maxSlots are at most 362, so that is at most some 24 million
// steps (about 20 ms), where members could be 5,000.
func smooth(counts []int) []int32 {
	classes, sum := classify(counts)
	slots := make([]int32, 0, sum)
	for range sum {
		best := 0
		for i := range classes {
			classes[i].current += classes[i].weight
			if classes[i].current > classes[best].current {
				best = i
			}
		}
		c := &classes[best]
		c.current -= sum
		slots = append(slots, c.members[c.next])
		c.next++
		if c.next == len(c.members) {
			c.next = 0
		}
	}
	return slots
}

// classify groups members by their number of slots, largest first, and adds up
// all slots.
func classify(counts []int) (classes []class, sum int) {
	order := make([]int32, 0, len(counts))
	for i, n := range counts {
		sum += n
		if n > 0 {
			order = append(order, int32(i))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(counts[b], counts[a]) })
	for i, member := range order {
		if i == 0 || counts[member] != counts[order[i-1]] {
			classes = append(classes, class{})
		}
		c := &classes[len(classes)-1]
		c.members = append(c.members, member)
		c.weight += counts[member]
	}
	return classes, sum
}
