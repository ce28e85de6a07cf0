package stats

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// lintExceptions is everything that Prometheus's linter says about the whole
// output. All of it is about names that Envoy gave, and that dashboards and
// alerts know; about names of our own it finds nothing. An exception that is
// not needed any more fails the test.
var lintExceptions = []struct {
	says    string
	reason  string
	metrics []string
}{
	{
		says:   `counter metrics should have "_total" suffix`,
		reason: "Envoy prints counters under the names of its statistics, with no suffix added",
		metrics: []string{
			"envoy_listener_downstream_cx_destroy", "envoy_listener_downstream_cx_overflow",
			"envoy_listener_downstream_global_cx_overflow", "envoy_listener_downstream_pre_cx_timeout",
			"envoy_listener_no_filter_chain_match",
			"envoy_tcp_downstream_cx_no_route", "envoy_tcp_idle_timeout", "envoy_tcp_max_downstream_connection_duration",
			"envoy_cluster_upstream_cx_connect_attempts_exceeded", "envoy_cluster_upstream_cx_connect_fail",
			"envoy_cluster_upstream_cx_connect_timeout", "envoy_cluster_upstream_cx_destroy",
			"envoy_cluster_upstream_cx_destroy_local", "envoy_cluster_upstream_cx_destroy_remote",
			"envoy_cluster_upstream_cx_none_healthy", "envoy_cluster_upstream_cx_overflow",
			"envoy_cluster_lb_healthy_panic", "envoy_cluster_upstream_rq_pending_overflow",
			"envoy_rbac_allowed", "envoy_rbac_denied", "envoy_rbac_shadow_allowed", "envoy_rbac_shadow_denied",
			"envoy_connection_limit_limited_connections", "envoy_local_rate_limit_rate_limited",
		},
	},
	{
		says:    `non-counter metrics should not have "_total" suffix`,
		reason:  "a gauge in Envoy too: the number of endpoints, whatever their health",
		metrics: []string{"envoy_cluster_membership_total"},
	},
	{
		says:   `metric names should not contain abbreviated units`,
		reason: "Envoy's histograms are in milliseconds and say so in their names",
		metrics: []string{
			"envoy_listener_downstream_cx_length_ms", "envoy_cluster_upstream_cx_connect_ms", "envoy_cluster_upstream_cx_length_ms",
		},
	},
}

func TestPromlint(t *testing.T) {
	f := counted()
	f.registry.SampleProcess(testStart(), "v1")
	body := get(t, f.exporter(t).Prometheus(), "/stats/prometheus").Body
	problems, err := promlint.New(body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	expected := map[promlint.Problem]bool{}
	for _, exception := range lintExceptions {
		for _, metric := range exception.metrics {
			expected[promlint.Problem{Metric: metric, Text: exception.says}] = true
		}
	}
	for _, problem := range problems {
		if !expected[problem] {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
		delete(expected, problem)
	}
	for problem := range expected {
		t.Errorf("exception not needed: %s: %s", problem.Metric, problem.Text)
	}
}

// Every family must stand in the page that explains metrics to users.
func TestEveryMetricIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	f := counted()
	for _, family := range f.registry.families {
		if !strings.Contains(string(page), "`"+family.name+"`") {
			t.Errorf("docs/observability.md does not explain `%s`", family.name)
		}
	}
}
