package stats

import "sync"

// Registry hands out places and knows what they mean. It is used when a
// configuration is built and when somebody scrapes, never on an event loop.
// It is safe for concurrent use.
type Registry struct {
	mu       sync.Mutex
	families map[familyKey]*family
	scopes   map[scopeKey]*scope
	index    map[seriesKey]int // of series
	series   []*series
	cells    int
	istio    map[IstioLabels]Istio // what was given for these labels
}

// NewRegistry makes a registry that has handed out nothing.
func NewRegistry() *Registry {
	return &Registry{families: make(map[familyKey]*family), scopes: make(map[scopeKey]*scope),
		index: make(map[seriesKey]int), istio: make(map[IstioLabels]Istio)}
}

// Cells is how many places have been handed out so far; see Shard.Grow.
func (r *Registry) Cells() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cells
}

// NewShard makes a shard with room for all places handed out so far.
func (r *Registry) NewShard() *Shard {
	shard := &Shard{}
	shard.Grow(r.Cells())
	return shard
}

// place is the cell of the series: the one it has already, or a new one.
func (r *Registry) place(s *scope, f family) int { return r.series[r.add(s, f, nil)].cell }

// add finds or makes a series and returns its index. A series with a read
// function is replaced, because the thing it asks may be a newer one.
func (r *Registry) add(s *scope, f family, read func() float64) int {
	key := seriesKey{r.family(s, f), s}
	at, exists := r.index[key]
	switch {
	case exists && read != nil:
		r.series[at] = &series{family: key.family, scope: s, read: read}
	case !exists:
		at = r.append(&series{family: key.family, scope: s, read: read})
		r.index[key] = at
	}
	return at
}

// append takes a new series in, and returns its index.
func (r *Registry) append(s *series) int {
	if s.read == nil {
		s.cell = r.cells
		r.cells += width(s.family.kind)
	}
	r.series = append(r.series, s)
	return len(r.series) - 1
}

// family returns the one family of the name in scopes like s.
func (r *Registry) family(s *scope, f family) *family {
	key := familyKey{s.prefix, f.stat, f.rare}
	if r.families[key] == nil {
		r.families[key] = newFamily(s.prefix, s.labels, f)
	}
	return r.families[key]
}

func width(k kind) int {
	if k == histogramKind {
		return histogramCells
	}
	return 1
}
