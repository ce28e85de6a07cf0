package balance

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// rotation gives the members on a line their turns. Its cursor is all that
// changes in a table.
type rotation struct {
	step   uint32
	base   uint32 // place of turn 0
	phase  uint64 // how far along the line that is, in parts of 2^64
	cursor *cursor
}

// cursor counts turns, on a cache line of its own. Tables share it as long as
// their lines are the same.
type cursor struct {
	_    [64]byte
	next atomic.Uint64
	_    [56]byte
}

// newRotation begins at a random place: many sidecars that start with the same
// configuration must not begin with the same endpoint.
func newRotation(l *line) rotation { return rotationFrom(rand.Uint64(), l) }

func rotationFrom(phase uint64, l *line) rotation {
	return rotation{step: step(l), base: l.scaled(phase), phase: phase, cursor: new(cursor)}
}

// turn takes the next turn, which is a place on the line.
func (r *rotation) turn(l *line) uint32 { return r.at(r.cursor.next.Add(1)-1, l) }

func (r *rotation) at(turn uint64, l *line) uint32 {
	length := uint64(l.length)
	return uint32((turn%length*uint64(r.step) + uint64(r.base)) % length)
}

// golden is the golden section of 2^64, odd.
const golden = 0x9e3779b97f4a7c15

// goOn is the rotation for line l after that for line last. Where the line is
// another, it goes on from elsewhere: if it began anew with each change, members
// that change often would decide who has the turn. For each turn taken it is a
// golden section further along, whatever the steps on the lines between were.
// Those are fractions of small numbers, and where changes come in a circle they
// may add up to nearly a whole: the same places would have the turn each time.
// Multiples of the golden section do that least of all.
func (r *rotation) goOn(last, l *line) rotation {
	if last.length == l.length && slices.Equal(last.ends, l.ends) {
		return *r
	}
	return rotationFrom(r.phase+r.cursor.next.Load()*golden, l)
}

// step is how far along a line of some length the next turn is. It has no
// common divisor with length, so that each place has its turn exactly once in
// length turns, and each member as many as its part is long. It is near the
// golden section of the length, where what is visited at any time is spread
// most evenly over the line: that is what makes turns of heavy members, and of
// neighbours together, come at regular distances (Weyl's sequence; Kuipers and
// Niederreiter, Uniform Distribution of Sequences, section 2.3).
func step(l *line) uint32 {
	if l.ends == nil {
		return 1 // equals have their turns in the order of the list
	}
	const window = 32
	ideal := int64(math.Round(float64(l.length) / math.Phi))
	best, least := uint32(1), math.MaxInt
	for i := range int64(2*window + 1) {
		near := ideal + (i+1)/2*(1-2*(i%2)) // ideal, then one less, one more, two less
		if near < 1 || near >= int64(l.length) {
			continue
		}
		if n, ok := unevenness(uint32(near), l.length); ok && n < least {
			best, least = uint32(near), n
		}
	}
	return best
}

// unevenness is the sum of the partial quotients of step/length, to which the
// discrepancy of the turns is proportional. It is not ok when the two have a
// common divisor.
func unevenness(step, length uint32) (sum int, ok bool) {
	a, b := length, step
	for b != 0 {
		sum += int(a / b)
		a, b = b, a%b
	}
	return sum, a == 1
}
