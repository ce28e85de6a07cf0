package stats

import (
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// bucketsMode is Envoy's ?histogram_buckets=.
type bucketsMode uint8

const (
	noBuckets bucketsMode = iota // quantiles instead
	cumulativeBuckets
	disjointBuckets
)

// The interval values of Envoy's histograms are those since the last flush to
// a sink. There is no such flush here, so they are what Envoy prints when
// nothing was recorded: nan in quantiles, 0 in buckets.

// writeText prints readings as Envoy's /stats does: counters and gauges by
// name, then histograms by name (StatsTextRender).
func writeText(out io.Writer, readings []reading, mode bucketsMode) error {
	numbers, histograms := split(readings)
	var line []byte
	for i := range numbers {
		line = append(append(line[:0], numbers[i].text...), ": "...)
		line = append(appendNumber(line, &numbers[i]), '\n')
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	for i := range histograms {
		line = append(append(line[:0], histograms[i].text...), ": "...)
		line = append(newDistribution(histograms[i].cells).appendText(line, mode), '\n')
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// split sorts by name and parts what is a histogram from what is not.
func split(readings []reading) (numbers, histograms []reading) {
	for i := range readings {
		readings[i].text = readings[i].name()
	}
	slices.SortFunc(readings, func(a, b reading) int { return strings.Compare(a.text, b.text) })
	for _, r := range readings {
		if r.family.kind == histogramKind {
			histograms = append(histograms, r)
		} else {
			numbers = append(numbers, r)
		}
	}
	return numbers, histograms
}

// appendNumber prints integers in full: exact, and never in scientific form.
func appendNumber(dst []byte, r *reading) []byte {
	switch {
	case r.read == nil && r.family.kind == counterKind:
		return strconv.AppendUint(dst, r.cells[0], 10)
	case r.read == nil && r.family.kind == gaugeKind:
		return strconv.AppendInt(dst, int64(r.cells[0]), 10)
	}
	return strconv.AppendFloat(dst, r.value(), 'f', -1, 64)
}

func (d distribution) appendText(dst []byte, mode bucketsMode) []byte {
	if d.count == 0 {
		return append(dst, "No recorded values"...)
	}
	if mode == noBuckets {
		for i, percent := range supportedPercents {
			dst = appendPair(dst, i, 'P', percent)
			dst = append(dst, "(nan,"...)
			dst = append(appendShort(dst, d.percentile(percent)), ')')
		}
		return dst
	}
	for i, count := range d.mode(mode) {
		dst = appendPair(dst, i, 'B', boundMillis(i))
		dst = append(dst, "(0,"...)
		dst = append(strconv.AppendUint(dst, count, 10), ')')
	}
	return dst
}

func appendPair(dst []byte, i int, letter byte, value float64) []byte {
	if i > 0 {
		dst = append(dst, ' ')
	}
	return appendShort(append(dst, letter), value)
}

func appendShort(dst []byte, value float64) []byte {
	return strconv.AppendFloat(dst, round(value), 'f', -1, 64)
}

// round keeps four decimals: more would pretend a precision that buckets do
// not have.
func round(value float64) float64 { return math.Round(value*1e4) / 1e4 }

// mode is the counts of the buckets that have a bound, as Envoy lists them.
func (d distribution) mode(mode bucketsMode) []uint64 {
	counts := slices.Clone(d.buckets[:len(boundsMicros)])
	for i := 1; mode == cumulativeBuckets && i < len(counts); i++ {
		counts[i] += counts[i-1]
	}
	return counts
}

type (
	jsonNumber struct {
		Name  string          `json:"name"`
		Value json.RawMessage `json:"value"`
	}
	jsonQuantile struct {
		Interval   *float64 `json:"interval"` // always null
		Cumulative *float64 `json:"cumulative"`
	}
	jsonQuantiles struct {
		Name   string         `json:"name"`
		Values []jsonQuantile `json:"values"`
	}
	jsonSummary struct {
		Supported []float64       `json:"supported_quantiles"`
		Computed  []jsonQuantiles `json:"computed_quantiles"`
	}
	jsonBucket struct {
		UpperBound float64 `json:"upper_bound"`
		Interval   uint64  `json:"interval"`
		Cumulative uint64  `json:"cumulative"`
	}
	jsonBuckets struct {
		Name    string       `json:"name"`
		Buckets []jsonBucket `json:"buckets"`
	}
	jsonHistograms struct {
		Histograms any `json:"histograms"`
	}
)

// writeJSON prints readings as Envoy's /stats?format=json does
// (StatsJsonRender).
func writeJSON(out io.Writer, readings []reading, mode bucketsMode) error {
	numbers, histograms := split(readings)
	stats := []any{}
	for i := range numbers {
		stats = append(stats, jsonNumber{numbers[i].text, appendNumber(nil, &numbers[i])})
	}
	if len(histograms) > 0 && mode == noBuckets {
		stats = append(stats, jsonHistograms{summarize(histograms)})
	} else if len(histograms) > 0 {
		stats = append(stats, jsonHistograms{listBuckets(histograms, mode)})
	}
	return json.NewEncoder(out).Encode(map[string]any{"stats": stats})
}

func summarize(histograms []reading) jsonSummary {
	summary := jsonSummary{Supported: supportedPercents[:]}
	for _, h := range histograms {
		d := newDistribution(h.cells)
		quantiles := jsonQuantiles{Name: h.text, Values: make([]jsonQuantile, len(supportedPercents))}
		for i, percent := range supportedPercents {
			if value := round(d.percentile(percent)); d.count > 0 {
				quantiles.Values[i].Cumulative = &value
			}
		}
		summary.Computed = append(summary.Computed, quantiles)
	}
	return summary
}

func listBuckets(histograms []reading, mode bucketsMode) []jsonBuckets {
	listed := make([]jsonBuckets, len(histograms))
	for i, h := range histograms {
		listed[i].Name = h.text
		for b, count := range newDistribution(h.cells).mode(mode) {
			listed[i].Buckets = append(listed[i].Buckets, jsonBucket{UpperBound: boundMillis(b), Cumulative: count})
		}
	}
	return listed
}
