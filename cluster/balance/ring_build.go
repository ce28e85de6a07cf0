package balance

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/sluiceproxy/sluice/config"
)

// pointsEach is how many points a member of average weight has at least, if
// the largest ring size allows it. With Envoy's one point for each of
// thousands of members their shares would differ by more than a factor of ten.
const pointsEach = 32

// newRing makes a ring. Points of members that previous, which may be nil, has
// with the same key and number are taken over, so that a change costs one pass;
// it is previous itself if nothing changes.
func newRing(keys []string, weights []float64, sizes config.RingHashPolicy, previous *ring) *ring {
	r := &ring{keys: keys, points: pointsOf(keys, weights, sizes)}
	if previous == nil {
		previous = new(ring)
	}
	kept, added := r.compare(previous)
	if len(added) == 0 && slices.Equal(previous.keys, keys) {
		return previous
	}
	r.merge(previous, kept, r.newPoints(added))
	r.index()
	return r
}

// pointsOf shares the points of the ring. Parts of a point are rounded up or
// down by a hash of the key: if all members went from 2 points to 3 at once,
// because there is one member less, a third of all hashes would move.
func pointsOf(keys []string, weights []float64, sizes config.RingHashPolicy) []int32 {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	size := max(int(sizes.MinimumRingSize), pointsEach*len(keys))
	size = min(size, max(int(sizes.MaximumRingSize), 1))
	points := make([]int32, len(keys))
	for i, key := range keys {
		fraction := float64(xxhash.Sum64String(key)>>11) / (1 << 53)
		points[i] = max(1, int32(float64(size)*weights[i]/sum+fraction))
	}
	return points
}

// compare finds what the rings have in common: kept gives for the owners in
// previous who they are in r, -1 = gone; added are those of r who are in no
// previous ring, or have another number of points there.
func (r *ring) compare(previous *ring) (kept, added []int32) {
	kept = match(previous.keys, r.keys)
	same := make([]bool, len(r.keys))
	for i, now := range kept {
		if now >= 0 {
			same[now] = previous.points[i] == r.points[now]
			if !same[now] {
				kept[i] = -1
			}
		}
	}
	for i := range r.keys {
		if !same[i] {
			added = append(added, int32(i))
		}
	}
	return kept, added
}

// point is one on its way into a ring.
type point struct {
	hash  uint64
	owner int32
}

// newPoints computes the points of owners, in order of their hashes: those of
// "key_0", "key_1" and so on, as Envoy's.
func (r *ring) newPoints(owners []int32) []point {
	total := 0
	for _, owner := range owners {
		total += int(r.points[owner])
	}
	list := make([]point, 0, total)
	var text []byte
	for _, owner := range owners {
		text = append(append(text[:0], r.keys[owner]...), '_')
		prefix := len(text)
		for i := range r.points[owner] {
			text = strconv.AppendInt(text[:prefix], int64(i), 10)
			list = append(list, point{xxhash.Sum64(text), owner})
		}
	}
	slices.SortFunc(list, func(a, b point) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return cmp.Compare(a.owner, b.owner)
	})
	return list
}

// merge puts the points that stay and the new ones in order.
func (r *ring) merge(previous *ring, kept []int32, added []point) {
	total := 0
	for _, n := range r.points {
		total += int(n)
	}
	r.hashes, r.owners = make([]uint64, 0, total), make([]int32, 0, total)
	for i, hash := range previous.hashes {
		owner := kept[previous.owners[i]]
		if owner < 0 {
			continue
		}
		for len(added) > 0 && added[0].hash < hash {
			r.add(added[0])
			added = added[1:]
		}
		r.add(point{hash, owner})
	}
	for _, p := range added {
		r.add(p)
	}
}

func (r *ring) add(p point) {
	r.hashes = append(r.hashes, p.hash)
	r.owners = append(r.owners, p.owner)
}
