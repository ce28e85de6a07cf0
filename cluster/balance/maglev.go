package balance

import (
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Envoy's default and greatest table size.
const (
	defaultTableSize = 65537
	maxTableSize     = 5000011
)

// maglev is a table of owners that hashes point into: Maglev, "A Fast and
// Reliable Software Network Load Balancer", NSDI 2016, section 3.4, with
// Envoy's hashes, order and way of weights (maglev_lb.cc), so that the two agree
// entry by entry. It depends on the members only and neither on their order nor
// on what was before.
type maglev struct {
	owners []int32

	keys    []string // what it was made of, by owner
	weights []float64
	order   []int32 // owners in the order of their keys
}

// find is the entry that a hash points to.
func (m *maglev) find(hash uint64) int { return int(hash % uint64(len(m.owners))) }

// at is the owner of an entry; the entries go round.
func (m *maglev) at(entry int) int32 {
	if entry >= len(m.owners) {
		entry %= len(m.owners)
	}
	return m.owners[entry]
}

// shares are the owners' parts of the table.
func (m *maglev) shares() []float64 {
	shares := make([]float64, len(m.keys))
	for _, owner := range m.owners {
		shares[owner] += 1 / float64(len(m.owners))
	}
	return shares
}

// candidate is a member on its way through the entries that it would like to
// have.
type candidate struct {
	member int32
	entry  uint32
	skip   uint32
	pace   float64 // rounds from one turn to the next
	turns  float64
}

// newMaglev fills a table of the size, or of the next greater prime. It is
// previous, which may be nil, if that is the same.
func newMaglev(keys []string, weights []float64, size uint32, previous *maglev) *maglev {
	size = tableSize(size)
	if previous == nil {
		previous = new(maglev)
	}
	if len(previous.owners) == int(size) && slices.Equal(previous.keys, keys) && slices.Equal(previous.weights, weights) {
		return previous
	}
	m := &maglev{owners: make([]int32, size), keys: keys, weights: weights}
	m.order = byName(keys, previous.keys, previous.order)
	f := filling{maglev: m, taken: make([]uint64, size/64+1), candidates: m.candidates()}
	f.schedule()
	for round := uint32(1); f.full < size; round++ {
		f.round(round)
	}
	return m
}

func tableSize(size uint32) uint32 {
	if size == 0 {
		size = defaultTableSize
	}
	return nextPrime(min(size, maxTableSize))
}

// nextPrime is n or the first prime after it: only in a table of prime size
// each walk comes by each entry.
func nextPrime(n uint32) uint32 {
	for n = max(n, 2); ; n++ {
		prime := true
		for d := uint32(2); prime && d*d <= n; d++ {
			prime = n%d != 0
		}
		if prime {
			return n
		}
	}
}

// candidates are in the order of their keys.
func (m *maglev) candidates() []candidate {
	list := make([]candidate, len(m.keys))
	size := uint64(len(m.owners))
	heaviest := slices.Max(m.weights)
	seeded := xxhash.NewWithSeed(1)
	for i, member := range m.order {
		key := m.keys[member]
		seeded.ResetWithSeed(1)
		// A Digest takes whatever it is given.
		_, _ = seeded.WriteString(key)
		list[i] = candidate{
			member: member,
			entry:  uint32(xxhash.Sum64String(key) % size),
			skip:   uint32(seeded.Sum64()%(size-1)) + 1,
			pace:   heaviest / m.weights[member],
		}
	}
	return list
}

// crowd is how many candidates a round can pass over at once.
const crowd = 64

// filling is a table that is being filled. In each round the heaviest have a
// turn, and the others as often as their weight says.
type filling struct {
	*maglev
	candidates []candidate
	due        []uint32 // round of each candidate's next turn
	soonest    []uint32 // of each crowd: a heavy candidate among thousands of light ones makes many rounds with few turns
	taken      []uint64 // bits, because most looks are at what is taken
	full       uint32
}

// schedule gives everyone a turn in the first round.
func (f *filling) schedule() {
	f.due = slices.Repeat([]uint32{1}, len(f.candidates))
	f.soonest = slices.Repeat([]uint32{1}, (len(f.candidates)+crowd-1)/crowd)
}

func (f *filling) round(round uint32) {
	for c := range f.soonest {
		if f.soonest[c] > round {
			continue
		}
		soonest := uint32(math.MaxUint32)
		for i := c * crowd; i < min((c+1)*crowd, len(f.candidates)); i++ {
			if f.due[i] <= round {
				if f.full == uint32(len(f.owners)) {
					return
				}
				f.take(&f.candidates[i])
				f.due[i] = f.candidates[i].nextRound()
			}
			soonest = min(soonest, f.due[i])
		}
		f.soonest[c] = soonest
	}
}

// nextRound is when the candidate may take another entry.
func (c *candidate) nextRound() uint32 {
	return uint32(min(math.Ceil(c.turns*c.pace), math.MaxUint32))
}

// take gives a candidate the first entry on its way that is free.
func (f *filling) take(c *candidate) {
	size, entry := uint32(len(f.owners)), c.entry
	for f.taken[entry>>6]>>(entry&63)&1 != 0 {
		if entry += c.skip; entry >= size {
			entry -= size
		}
	}
	f.taken[entry>>6] |= 1 << (entry & 63)
	f.owners[entry] = c.member
	f.full++
	c.turns++
	if entry += c.skip; entry >= size {
		entry -= size
	}
	c.entry = entry
}
