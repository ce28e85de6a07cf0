package balance

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/config"
)

// kind is which members of a priority are in a set.
type kind uint8

const (
	healthyOnes kind = iota
	degradedOnes
	everyone // in panic
)

// holds says whether a member belongs to sets of a kind.
func (k kind) holds(h Health) bool {
	switch k {
	case healthyOnes:
		return h == Healthy
	case degradedOnes:
		return h == Degraded
	}
	return true
}

// set is the members of one priority that share a part of the load.
type set struct {
	priority uint32
	kind     kind
	seats    []seat
	line     line
	rotation rotation        // for round_robin and least_request
	active   []*atomic.Int64 // by seat; for least_request
	ring     *ring           // for ring_hash
	maglev   *maglev         // for maglev
}

// seat is a member's place in a set.
type seat struct {
	id    int32
	index int32 // in the list given to Build
}

// policy is what of Options a pick needs.
type policy struct {
	name    config.LBPolicy
	choices int
	bias    float64
}

// pick takes a member that is not tried. For the hash policies hash decides,
// for the others it is a random number.
func (s *set) pick(p *policy, hash uint64, tried *Tried) (int32, bool) {
	var at int32
	switch p.name {
	case config.Random:
		at = s.line.at(s.line.scaled(hash))
	case config.LeastRequest:
		at = s.leastLoaded(p, tried)
	case config.RingHash:
		at = s.ring.at(s.ring.find(hash))
	case config.Maglev:
		at = s.maglev.at(s.maglev.find(hash))
	default:
		at = s.line.at(s.rotation.turn(&s.line))
	}
	if tried == nil || !tried.Has(s.seats[at].id) {
		return at, true
	}
	return s.another(hash, tried)
}

// leastLoaded compares the member whose turn it is with others, by open
// connections for each unit of weight: with random ones, or with all where
// there are no more than are to be compared. At equal load the first stays, so
// that shares are then exactly the weights. It gives a tried one only if it has
// met no other.
func (s *set) leastLoaded(p *policy, tried *Tried) int32 {
	best := s.line.at(s.rotation.turn(&s.line))
	if p.bias < 1 && rand.Float64() >= p.bias {
		return best
	}
	usable := tried == nil || !tried.Has(s.seats[best].id)
	least, all := s.load(best), p.choices >= len(s.seats)
	other := best
	for range min(p.choices, len(s.seats)) - 1 {
		if usable && least == 0 {
			break
		}
		if all {
			other = (other + 1) % int32(len(s.seats))
		} else {
			other = s.line.at(s.line.scaled(rand.Uint64()))
		}
		if tried != nil && tried.Has(s.seats[other].id) {
			continue
		}
		load := s.load(other)
		if !usable || load*uint64(s.line.part(best)) < least*uint64(s.line.part(other)) {
			best, least, usable = other, load, true
		}
	}
	return best
}

// load is the open connections of a member, below 2^32 so that a product with
// a part is whole.
func (s *set) load(at int32) uint64 {
	active := s.active[at]
	if active == nil {
		return 0
	}
	return uint64(min(max(active.Load(), 0), 1<<32-1))
}

// patience bounds how often another looks by weight before it looks at
// everyone in turn.
const patience = 64

// another finds a member that is not tried, if there is one. For the hash
// policies it walks on from where the hash points, so that the second choice
// of a connection is stable, too.
func (s *set) another(hash uint64, tried *Tried) (int32, bool) {
	var at int32
	for i := range patience {
		switch {
		case s.ring != nil:
			at = s.ring.at(s.ring.find(hash) + i)
		case s.maglev != nil:
			at = s.maglev.at(s.maglev.find(hash) + i)
		default:
			at = s.line.at(s.line.scaled(rand.Uint64()))
		}
		if !tried.Has(s.seats[at].id) {
			return at, true
		}
	}
	for range s.seats {
		if at++; int(at) == len(s.seats) {
			at = 0
		}
		if !tried.Has(s.seats[at].id) {
			return at, true
		}
	}
	return 0, false
}

// shares are the members' parts of the set's load, by seat.
func (s *set) shares() []float64 {
	switch {
	case s.ring != nil:
		return s.ring.shares()
	case s.maglev != nil:
		return s.maglev.shares()
	}
	return s.line.shares(len(s.seats))
}
