package stats

import (
	"strconv"
	"strings"
	"sync"
)

// Registry hands out places and knows what they mean. It is used when a
// configuration is built and when somebody scrapes, never on an event loop.
// It is safe for concurrent use.
type Registry struct {
	mu       sync.Mutex
	families map[string]*family
	index    map[string]int // of series, by name and label values
	series   []*series
	cells    int
	istio    map[IstioLabels]Istio // what was given for these labels
}

// NewRegistry makes a registry that has handed out nothing.
func NewRegistry() *Registry {
	return &Registry{families: map[string]*family{}, index: map[string]int{}, istio: map[IstioLabels]Istio{}}
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

// scope names the series of one thing: a listener, a cluster, a loop.
// Its methods need the registry's lock.
type scope struct {
	registry *Registry
	prefix   string // of Prometheus names
	labels   []string
	values   []string
	text     string // prefix of names in /stats; empty: they look as in Prometheus
}

// envoyScope is for statistics that Envoy has: envoy_cluster_x{label="value"},
// and cluster.value.x in /stats.
func (r *Registry) envoyScope(what, label, value string) scope {
	value = statName(value)
	return scope{
		registry: r, prefix: "envoy_" + what + "_",
		labels: []string{label}, values: []string{clean(value)},
		text: what + "." + clean(value) + ".",
	}
}

// sluiceScope is for statistics of our own: sluice_x{label="value"}.
func (r *Registry) sluiceScope(label, value string) scope {
	return scope{registry: r, prefix: "sluice_", labels: []string{label}, values: []string{clean(value)}}
}

func (s scope) counter(name, help string) Counter {
	return Counter(s.place(family{name: name, help: help, kind: counterKind}))
}

func (s scope) nanos(name, help string) Counter {
	return Counter(s.place(family{name: name, help: help, kind: nanosKind}))
}

func (s scope) rareCounter(name, help string) Counter {
	return Counter(s.place(family{name: name, help: help, kind: counterKind, rare: true}))
}

func (s scope) gauge(name, help string) Gauge {
	return Gauge(s.place(family{name: name, help: help, kind: gaugeKind}))
}

func (s scope) histogram(name, help string) Histogram {
	return Histogram(s.place(family{name: name, help: help, kind: histogramKind}))
}

// place is the cell of the series: the one it has already, or a new one.
func (s scope) place(f family) int {
	r := s.registry
	return r.series[r.add(s, f, nil)].cell
}

// add finds or makes a series and returns its index. A series with a read
// function is replaced, because the thing it asks may be a newer one.
func (r *Registry) add(s scope, f family, read func() float64) int {
	stat := f.name
	f.name, f.labels = s.prefix+stat, s.labels
	made := &series{family: r.family(f), labels: labelPairs(s.labels, s.values), read: read}
	if made.text = s.text + dotted(stat); s.text == "" {
		made.text = prometheusName(f.name, s.labels, s.values)
	}
	key := seriesKey(f.name, s.values)
	at, exists := r.index[key]
	switch {
	case exists && read != nil:
		r.series[at] = made
	case !exists:
		at = len(r.series)
		if read == nil {
			made.cell = r.cells
			r.cells += width(f.kind)
		}
		r.index[key] = at
		r.series = append(r.series, made)
	}
	return at
}

// dotted puts the dots back that Prometheus does not allow in names, where Envoy
// has some.
func dotted(stat string) string {
	for _, group := range []string{"circuit_breakers_default_", "health_check_", "outlier_detection_"} {
		if rest, ok := strings.CutPrefix(stat, group); ok {
			return strings.Replace(strings.TrimSuffix(group, "_"), "breakers_", "breakers.", 1) + "." + rest
		}
	}
	return stat
}

// family returns the one family of the name; rare ones are kept apart from
// those whose series always show, under the same name.
func (r *Registry) family(f family) *family {
	key := f.name + strconv.FormatBool(f.rare)
	if r.families[key] == nil {
		r.families[key] = newFamily(f)
	}
	return r.families[key]
}

func width(k kind) int {
	if k == histogramKind {
		return histogramCells
	}
	return 1
}

func seriesKey(name string, values []string) string {
	return name + "\xff" + strings.Join(values, "\xff")
}

// clean makes any text a legal label value: Prometheus wants UTF-8.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func decimal(n int) string { return strconv.Itoa(n) }
