package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// sample is one line of the Prometheus text format: the metric's name with
// its labels, and the value.
type sample struct {
	series string
	value  float64
}

// parseMetrics reads the Prometheus text format, comments left out.
func parseMetrics(text string) ([]sample, error) {
	var samples []sample
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		// A label's value may hold blanks, so the last one divides.
		cut := strings.LastIndexByte(line, ' ')
		if cut < 0 {
			return nil, fmt.Errorf("metrics line %q has no value", line)
		}
		value, err := strconv.ParseFloat(line[cut+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("metrics line %q: %w", line, err)
		}
		samples = append(samples, sample{line[:cut], value})
	}
	return samples, nil
}

// metricsInBrief are the families that the demo prints, out of the many.
func metricsInBrief() []string {
	return []string{
		"envoy_listener_downstream_cx_total",
		"envoy_cluster_upstream_cx_total",
		"envoy_cluster_upstream_cx_tx_bytes_total",
		"envoy_cluster_upstream_cx_rx_bytes_total",
		"istio_tcp_connections_opened_total",
		"sluice_relay_bytes_total",
	}
}

// printMetrics prints the families of metricsInBrief, Istio's with its many
// labels as one sum.
func printMetrics(out io.Writer, samples []sample) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, family := range metricsInBrief() {
		var sum float64
		for _, s := range samples {
			name, labels, _ := strings.Cut(s.series, "{")
			if name != family || s.value == 0 {
				continue
			}
			sum += s.value
			if !strings.HasPrefix(family, "istio_") {
				fmt.Fprintf(t, "%s\t%s\t%.0f\n", name, strings.TrimSuffix(labels, "}"), s.value)
			}
		}
		if strings.HasPrefix(family, "istio_") {
			fmt.Fprintf(t, "%s\t(all labels)\t%.0f\n", family, sum)
		}
	}
	return t.Flush()
}

// clusterTotals is what the metrics must say of a cluster, by the access log.
type clusterTotals struct{ connections, sent, received float64 }

// totals sums the lines of the access log by cluster.
func totals(results []*result) map[string]clusterTotals {
	sums := make(map[string]clusterTotals)
	for _, r := range results {
		for _, line := range r.lines {
			sum := sums[line.Cluster]
			sum.connections++
			sum.sent += float64(line.BytesReceived)
			sum.received += float64(line.BytesSent)
			sums[line.Cluster] = sum
		}
	}
	return sums
}

// metricsProblems lists where metrics and access log disagree.
func metricsProblems(samples []sample, results []*result) []string {
	var wrong []string
	for cluster, want := range totals(results) {
		for _, check := range []struct {
			family string
			want   float64
		}{
			{"envoy_cluster_upstream_cx_total", want.connections},
			{"envoy_cluster_upstream_cx_tx_bytes_total", want.sent},
			{"envoy_cluster_upstream_cx_rx_bytes_total", want.received},
		} {
			series := fmt.Sprintf("%s{envoy_cluster_name=%q}", check.family, cluster)
			i := slices.IndexFunc(samples, func(s sample) bool { return s.series == series })
			if i < 0 {
				wrong = append(wrong, fmt.Sprintf("metric %s is missing", series))
			} else if samples[i].value != check.want {
				wrong = append(wrong, fmt.Sprintf("metric %s is %.0f, the access log says %.0f", series, samples[i].value, check.want))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}
