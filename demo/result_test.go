package main

import (
	"os"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// sampleLog is the access log of the calls that sampleResults makes.
const sampleLog = `{"listener":"virtualInbound","direction":"inbound","filter_chain":"inbound|9080||","downstream_remote_address":"10.4.0.9:40001","downstream_local_address":"10.4.0.5:9080","upstream_cluster":"inbound|9080||","upstream_host":"10.4.0.5:9080","upstream_local_address":"127.0.0.6:1001","bytes_received":78,"bytes_sent":145,"duration_ms":3,"response_flags":"","close_reason":"fin"}
{"listener":"virtualInbound","direction":"inbound","filter_chain":"inbound|9080||","downstream_remote_address":"10.4.0.5:40003","downstream_local_address":"10.4.0.5:9080","upstream_cluster":"inbound|9080||","upstream_host":"10.4.0.5:9080","upstream_local_address":"127.0.0.6:1002","bytes_received":78,"bytes_sent":145,"duration_ms":3,"response_flags":"-","close_reason":"fin"}
{"listener":"0.0.0.0_9080","direction":"outbound","filter_chain":"outbound|9080||reviews","downstream_remote_address":"10.4.1.5:40002","downstream_local_address":"10.96.0.10:9080","upstream_cluster":"outbound|9080||reviews","upstream_host":"10.4.0.5:9080","upstream_local_address":"10.4.0.5:40003","bytes_received":78,"bytes_sent":145,"duration_ms":12.4,"response_flags":"","close_reason":"fin"}
{"listener":"half`

// sampleResults are an inbound call, one through both legs, and one that is
// not captured.
func sampleResults(t *testing.T) ([]*result, []logLine) {
	net := testnet.New(t)
	client, pod := net.Host("client"), net.Host("pod")
	saw := func(local, source string) report {
		return report{Local: local, Answer: answer{"pod", source}, Sent: 78, Received: 145}
	}
	results := []*result{
		{call: call{client, "10.4.0.5:9080", http11, []leg{inboundHTTP()}, "127.0.0.6"}, report: saw("10.4.0.9:40001", "127.0.0.6:1001")},
		{call: call{pod, "10.96.0.10:9080", http11, []leg{outboundReviews(), inboundHTTP()}, "127.0.0.6"}, report: saw("10.4.1.5:40002", "127.0.0.6:1002")},
		{call: call{pod, "10.4.0.5:9080", http11, nil, "10.4.0.5"}, report: saw("10.4.0.5:40004", "10.4.0.5:40004")},
	}
	log, err := parseLog(sampleLog)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if err := r.join(log); err != nil {
			t.Fatal(err)
		}
	}
	return results, log
}

func TestTable(t *testing.T) {
	results, log := sampleResults(t)
	for _, r := range results {
		if wrong := r.problems(log); len(wrong) > 0 {
			t.Errorf("problems where there are none: %q", wrong)
		}
	}
	var out strings.Builder
	if err := printTable(&out, results); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/table.golden")
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

// TestProblems breaks one thing at a time.
func TestProblems(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*result)
		want  string
	}{
		{"source", func(r *result) { r.report.Answer.Source = "10.4.0.9:1" }, "application saw is 10.4.0.9, want 127.0.0.6"},
		{"listener", func(r *result) { r.lines[0].Listener = "other" }, "listener is other"},
		{"direction", func(r *result) { r.lines[0].Direction = "outbound" }, "direction is outbound"},
		{"chain", func(r *result) { r.lines[0].FilterChain = "passthrough" }, "filter chain is passthrough"},
		{"cluster", func(r *result) { r.lines[0].Cluster = "other" }, "cluster is other"},
		{"endpoint", func(r *result) { r.lines[0].UpstreamHost = "10.0.0.1:1" }, "endpoint 10.0.0.1:1"},
		{"bytes in", func(r *result) { r.lines[0].BytesReceived++ }, "bytes received is 79, want 78"},
		{"bytes out", func(r *result) { r.lines[0].BytesSent = 0 }, "bytes sent is 0, want 145"},
		{"reset", func(r *result) { r.lines[0].CloseReason = "rst" }, "close reason is rst"},
		{"flags", func(r *result) { r.lines[0].ResponseFlags = "UF" }, "response flags is UF"},
		{"captured", func(r *result) { r.call.legs, r.lines = nil, nil }, "captured is true, want false"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			results, log := sampleResults(t)
			tc.spoil(results[0])
			if got := strings.Join(results[0].problems(log), "\n"); !strings.Contains(got, tc.want) {
				t.Errorf("problems %q, want %q among them", got, tc.want)
			}
		})
	}
}

func TestMissingLine(t *testing.T) {
	results, log := sampleResults(t)
	err := results[1].join(log[2:])
	if err == nil || !strings.Contains(err.Error(), "no line of 10.4.0.5:40003 to 10.4.0.5:9080 (inbound)") {
		t.Errorf("the inbound leg is not in the log: %v", err)
	}
}

func TestMetricsProblems(t *testing.T) {
	results, _ := sampleResults(t)
	text := `envoy_cluster_upstream_cx_total{envoy_cluster_name="inbound|9080||"} 2
envoy_cluster_upstream_cx_tx_bytes_total{envoy_cluster_name="inbound|9080||"} 156
envoy_cluster_upstream_cx_rx_bytes_total{envoy_cluster_name="inbound|9080||"} 290
envoy_cluster_upstream_cx_total{envoy_cluster_name="outbound|9080||reviews"} 1
envoy_cluster_upstream_cx_tx_bytes_total{envoy_cluster_name="outbound|9080||reviews"} 78
envoy_cluster_upstream_cx_rx_bytes_total{envoy_cluster_name="outbound|9080||reviews"} `
	for _, tc := range []struct{ name, text, want string }{
		{"agree", text + "145", ""},
		{"differ", text + "144", "is 144, the access log says 145"},
		{"missing", strings.ReplaceAll(text+"145", "cx_total", "other"), "is missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			samples, err := parseMetrics(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(metricsProblems(samples, results), "\n")
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("problems %q, want %q", got, tc.want)
			}
		})
	}
	samples, _ := parseMetrics(text + "145\nother 1\n")
	var out strings.Builder
	if err := printMetrics(&out, samples); err != nil || strings.Contains(out.String(), "other") ||
		!strings.Contains(out.String(), `envoy_cluster_name="inbound|9080||"          2`) {
		t.Errorf("in brief: %v\n%s", err, out.String())
	}
}
