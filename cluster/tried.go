package cluster

import "slices"

// Tried remembers which endpoints of one cluster a connection has tried. The
// zero value is ready; nothing is allocated for the first eight.
type Tried struct {
	n     int
	first [8]int32
	more  []int32
}

// Len is how many have been tried.
func (t *Tried) Len() int { return t.n + len(t.more) }

func (t *Tried) has(place int32) bool {
	return slices.Contains(t.first[:t.n], place) || slices.Contains(t.more, place)
}

func (t *Tried) add(place int32) {
	if t.n == len(t.first) {
		t.more = append(t.more, place)
		return
	}
	t.first[t.n] = place
	t.n++
}
