package balance

import "math/bits"

// ring is points on a circle of hashes; a hash belongs to the owner of the
// first point from it on (ketama, as in Envoy's ring_hash_lb.cc). It depends on
// the members only and neither on their order nor on what was before, so that
// all sidecars agree.
type ring struct {
	hashes []uint64 // ascending
	owners []int32
	guide  []int32 // the first point at or after each multiple of 1 << shift
	shift  uint8

	keys   []string // of the owners
	points []int32  // how many each owner has
}

// find is the point that a hash belongs to. It may be one past the last: at
// goes round.
func (r *ring) find(hash uint64) int {
	point := int(r.guide[hash>>r.shift])
	for point < len(r.hashes) && r.hashes[point] < hash {
		point++
	}
	return point
}

// at is the owner of a point; the points go round.
func (r *ring) at(point int) int32 {
	if point >= len(r.owners) {
		point %= len(r.owners)
	}
	return r.owners[point]
}

// index makes the guide.
func (r *ring) index() {
	width := bits.Len(uint(len(r.hashes))) - 1
	r.shift = uint8(64 - width)
	r.guide = make([]int32, 1<<width)
	next := 0
	for i, hash := range r.hashes {
		for ; next <= int(hash>>r.shift); next++ {
			r.guide[next] = int32(i)
		}
	}
	for ; next < len(r.guide); next++ {
		r.guide[next] = int32(len(r.hashes))
	}
}

// shares are the owners' parts of the circle, which adds up to 1.
func (r *ring) shares() []float64 {
	shares := make([]float64, len(r.keys))
	if len(r.hashes) == 1 {
		shares[r.owners[0]] = 1
		return shares
	}
	last := r.hashes[len(r.hashes)-1]
	for i, hash := range r.hashes {
		// The first point's part begins at the last point, across 0.
		shares[r.owners[i]] += float64(hash-last) / (1 << 64)
		last = hash
	}
	return shares
}
