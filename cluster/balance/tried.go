package balance

import "slices"

// Tried remembers by their IDs which members a connection has tried. The zero
// value is ready; nothing is allocated for the first eight.
type Tried struct {
	n     int
	first [8]int32
	more  []int32
}

// Len is how many have been tried.
func (t *Tried) Len() int { return t.n + len(t.more) }

// Has says whether a member has been tried.
func (t *Tried) Has(id int32) bool {
	return slices.Contains(t.first[:t.n], id) || slices.Contains(t.more, id)
}

// Add remembers a member. Pick does so by itself.
func (t *Tried) Add(id int32) {
	if t.n == len(t.first) {
		t.more = append(t.more, id)
		return
	}
	t.first[t.n] = id
	t.n++
}
