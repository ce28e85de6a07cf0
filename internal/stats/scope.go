package stats

import (
	"sort"
	"strings"
	"sync"

	dto "github.com/prometheus/client_model/go"
)

// scope is one thing that is counted: a listener, a cluster, a loop. Its series
// share it: there may be hundreds of thousands of them. The methods that make
// series need the registry's lock.
type scope struct {
	naming
	registry *Registry

	paired sync.Once
	pairs  []*dto.LabelPair // sorted by name; made by the first scrape
}

// naming is how a scope's series are named.
type naming struct {
	prefix string // of Prometheus names
	labels []string
	values []string
	text   string // prefix of names in /stats; empty: they look as in Prometheus
}

// scopeKey tells scopes apart.
type scopeKey struct{ prefix, labels, values string }

// scope is the one scope with these names. It needs the registry's lock.
func (r *Registry) scope(n naming) *scope {
	key := scopeKey{n.prefix, strings.Join(n.labels, ","), strings.Join(n.values, "\xff")}
	if r.scopes[key] == nil {
		r.scopes[key] = &scope{naming: n, registry: r}
	}
	return r.scopes[key]
}

// envoyScope is for statistics that Envoy has: envoy_cluster_x{label="value"},
// and cluster.value.x in /stats. It needs the registry's lock.
func (r *Registry) envoyScope(what, label, value string) *scope {
	value = clean(statName(value))
	return r.scope(naming{prefix: "envoy_" + what + "_", labels: []string{label}, values: []string{value}, text: what + "." + value + "."})
}

// sluiceScope is for statistics of our own: sluice_x{label="value"}. It needs
// the registry's lock.
func (r *Registry) sluiceScope(label, value string) *scope {
	return r.scope(naming{prefix: "sluice_", labels: []string{label}, values: []string{clean(value)}})
}

func (s *scope) counter(stat, help string) Counter {
	return Counter(s.registry.place(s, family{stat: stat, help: help, kind: counterKind}))
}

func (s *scope) nanos(stat, help string) Counter {
	return Counter(s.registry.place(s, family{stat: stat, help: help, kind: nanosKind}))
}

func (s *scope) gauge(stat, help string) Gauge {
	return Gauge(s.registry.place(s, family{stat: stat, help: help, kind: gaugeKind}))
}

func (s *scope) histogram(stat, help string) Histogram {
	return Histogram(s.registry.place(s, family{stat: stat, help: help, kind: histogramKind}))
}

// labelPairs are the scope's labels for Prometheus.
func (s *scope) labelPairs() []*dto.LabelPair {
	s.paired.Do(func() { s.pairs = labelPairs(s.labels, s.values) })
	return s.pairs
}

// labelPairs sorts by label name, as client_golang expects of a Metric.
func labelPairs(names, values []string) []*dto.LabelPair {
	pairs := make([]*dto.LabelPair, len(names))
	for i := range names {
		pairs[i] = &dto.LabelPair{Name: &names[i], Value: &values[i]}
	}
	sort.Slice(pairs, func(i, j int) bool { return pairs[i].GetName() < pairs[j].GetName() })
	return pairs
}

// statName replaces colons, as Envoy does in the names of statistics
// (Stats::Utility::sanitizeStatsName): 0.0.0.0:15006 becomes 0.0.0.0_15006.
func statName(name string) string { return strings.ReplaceAll(name, ":", "_") }

// clean makes any text a legal label value: Prometheus wants UTF-8.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
