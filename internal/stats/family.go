package stats

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// kind is what a family's values are.
type kind uint8

const (
	counterKind kind = iota
	gaugeKind
	histogramKind
	nanosKind // a counter of nanoseconds, exported in seconds
)

// family is all series of one name.
type family struct {
	stat string // the name, without its scope's prefix
	name string // as Prometheus shows it
	help string
	kind kind
	rare bool // a series is shown only once it is not zero
	desc *prometheus.Desc
}

// familyKey tells families apart: rare ones are kept apart from those whose
// series always show, under the same name.
type familyKey struct {
	prefix, stat string
	rare         bool
}

func newFamily(prefix string, labels []string, f family) *family {
	f.name = prefix + f.stat
	f.desc = prometheus.NewDesc(f.name, f.help, labels, nil)
	return &f
}

// series is one family and its label values: a place, or a function to ask.
// It is never changed after it was made. What names it is put together when
// somebody asks: most of a large mesh's series are never looked at.
type series struct {
	family *family
	scope  *scope
	flags  string // value of the label response_flags, in place of the scope's; "": that
	cell   int
	read   func() float64 // nil: the value is in the shards
}

// seriesKey tells series apart that differ in no more than their scope.
type seriesKey struct {
	family *family
	scope  *scope
}

const flagsLabel = "response_flags"

// labels are the series' labels for Prometheus, sorted by name.
func (s *series) labels() []*dto.LabelPair {
	if s.flags == "" {
		return s.scope.labelPairs()
	}
	return labelPairs(s.scope.labels, s.values())
}

func (s *series) values() []string {
	if s.flags == "" {
		return s.scope.values
	}
	values := slices.Clone(s.scope.values)
	values[slices.Index(s.scope.labels, flagsLabel)] = s.flags
	return values
}

// name is the series' name in /stats.
func (s *series) name() string {
	if s.scope.text == "" {
		return prometheusName(s.family.name, s.scope.labels, s.values())
	}
	return s.scope.text + dotted(s.family.stat)
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

// prometheusName is how /stats shows series that have no name in Envoy's own
// notation: name{label="value"}.
func prometheusName(name string, labels, values []string) string {
	if len(labels) == 0 {
		return name
	}
	var b strings.Builder
	b.WriteString(name)
	for i, label := range labels {
		b.WriteString([]string{"{", ","}[min(i, 1)])
		b.WriteString(label + `="` + values[i] + `"`)
	}
	return b.String() + "}"
}
