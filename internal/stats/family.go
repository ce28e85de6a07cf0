package stats

import (
	"sort"
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
	name   string // as Prometheus shows it
	help   string
	kind   kind
	labels []string
	rare   bool // a series is shown only once it is not zero
	desc   *prometheus.Desc
}

func newFamily(f family) *family {
	f.desc = prometheus.NewDesc(f.name, f.help, f.labels, nil)
	return &f
}

// series is one family and its label values: a place, or a function to ask.
// It is never changed after it was made.
type series struct {
	family *family
	labels []*dto.LabelPair // sorted by name
	text   string           // its name in /stats
	cell   int
	read   func() float64 // nil: the value is in the shards
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
