package test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// clusterStatus is a cluster of /clusters?format=json.
type clusterStatus struct {
	keys  map[string]any
	hosts map[string]map[string]any // health_status by address
}

func (s *sidecar) clusterStatuses() map[string]clusterStatus {
	s.w.Helper()
	var all struct {
		Statuses []json.RawMessage `json:"cluster_statuses"`
	}
	if err := json.Unmarshal([]byte(s.admin("/clusters?format=json")), &all); err != nil {
		s.w.Fatal(err)
	}
	statuses := make(map[string]clusterStatus)
	for _, raw := range all.Statuses {
		var one struct {
			Name  string `json:"name"`
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
						Port    int    `json:"port_value"`
					} `json:"socket_address"`
				} `json:"address"`
				Health map[string]any `json:"health_status"`
			} `json:"host_statuses"`
		}
		status := clusterStatus{hosts: make(map[string]map[string]any)}
		if err := json.Unmarshal(raw, &one); err != nil {
			s.w.Fatal(err)
		}
		if err := json.Unmarshal(raw, &status.keys); err != nil {
			s.w.Fatal(err)
		}
		for _, h := range one.Hosts {
			status.hosts[fmt.Sprintf("%s:%d", h.Address.Socket.Address, h.Address.Socket.Port)] = h.Health
		}
		statuses[one.Name] = status
	}
	return statuses
}

// Envoy's keys of /clusters (source/server/admin/clusters_handler.cc and
// admin.v3.Clusters), in its order. What begins with "-" is of requests, of a
// second priority of requests or of other front doors, and has no meaning here.
func envoyClusterKeys() []string {
	return strings.Fields(`observability_name
		outlier::success_rate_average outlier::success_rate_ejection_threshold
		outlier::local_origin_success_rate_average outlier::local_origin_success_rate_ejection_threshold
		default_priority::max_connections default_priority::max_pending_requests
		-default_priority::max_requests -default_priority::max_retries
		-high_priority::max_connections -high_priority::max_pending_requests -high_priority::max_requests -high_priority::max_retries
		added_via_api -eds_service_name`)
}

func envoyHostKeys() []string {
	return strings.Fields(`cx_active cx_connect_fail cx_total
		-rq_active -rq_error -rq_success -rq_timeout -rq_total
		hostname health_flags weight region zone sub_zone canary priority success_rate local_origin_success_rate`)
}

// The fields of admin.v3.ClusterStatus and HostStatus, with the fields of theirs;
// "?" marks what is left out where it has nothing to say.
func envoyJSONKeys() []string {
	return strings.Fields(`name observability_name ?added_via_api -eds_service_name -success_rate_ejection_threshold
		?local_origin_success_rate_ejection_threshold
		circuit_breakers circuit_breakers.thresholds circuit_breakers.thresholds.max_connections
		circuit_breakers.thresholds.max_pending_requests -circuit_breakers.thresholds.max_requests
		-circuit_breakers.thresholds.max_retries -circuit_breakers.thresholds.priority
		host_statuses host_statuses.address host_statuses.address.socket_address
		host_statuses.address.socket_address.address host_statuses.address.socket_address.port_value
		host_statuses.stats host_statuses.stats.name host_statuses.stats.value host_statuses.stats.type
		host_statuses.health_status host_statuses.health_status.eds_health_status
		host_statuses.health_status.failed_active_health_check ?host_statuses.health_status.failed_outlier_check
		host_statuses.health_status.failed_active_degraded_check ?host_statuses.health_status.pending_active_hc
		-host_statuses.health_status.pending_dynamic_removal -host_statuses.health_status.excluded_via_immediate_hc_fail
		-host_statuses.health_status.active_hc_timeout
		host_statuses.weight host_statuses.priority -host_statuses.success_rate ?host_statuses.hostname
		?host_statuses.local_origin_success_rate ?host_statuses.local_origin_success_rate.value
		host_statuses.locality host_statuses.locality.region host_statuses.locality.zone host_statuses.locality.sub_zone`)
}

// ours are the keys that sluice has of Envoy's.
func ours(keys []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return strings.HasPrefix(k, "-") })
}

// TestClustersAsEnvoy compares the keys of /clusters, text and JSON, with those
// that Envoy's handler writes.
func TestClustersAsEnvoy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	up := newServer(w, w.remote, remoteIP+":7000")
	var degraded atomic.Bool
	degraded.Store(true)
	serveDegraded(w, &degraded)
	s := startSidecar(w, poolText(quickDrain, []gateway{{name: "inbound|80||a:b", port: 8081, cluster: "outlier_detection: {max_ejection_percent: 100}\n  " +
		"health_checks: [{type: http, port: 7991, interval: 50ms, no_traffic_interval: 50ms, timeout: 5s, unhealthy_threshold: 1, reuse_connection: false, http: {path: /}}]"}},
		[]spot{{remoteIP2 + ":7000", "weight: 3, locality: {region: r, zone: z, sub_zone: s}"}, {up.address, "priority: 1"}}), asSidecar(redirect))
	const name = "inbound|80||a:b"
	s.waitFlags("/degraded_active_hc", name, remoteIP2+":7000")
	s.waitFlags("/failed_active_hc", name, up.address) // nobody answers for it

	var ofCluster []string
	ofHost := make(map[string][]string)
	for line := range strings.Lines(s.admin("/clusters")) {
		rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), name+"::")
		if !ok {
			t.Errorf("line %q is not of the cluster", line)
		}
		key, _, _ := cutLast(rest, "::")
		if address, hostKey, ok := strings.Cut(key, "::"); ok && strings.HasPrefix(address, "10.") {
			ofHost[address] = append(ofHost[address], hostKey)
			continue
		}
		ofCluster = append(ofCluster, key)
	}
	if want := ours(envoyClusterKeys()); !slices.Equal(ofCluster, want) {
		t.Errorf("keys of the cluster: %v\nwant %v", ofCluster, want)
	}
	if len(ofHost) != 2 {
		t.Errorf("endpoints: %v", ofHost)
	}
	for address, keys := range ofHost {
		if want := ours(envoyHostKeys()); !slices.Equal(keys, want) {
			t.Errorf("keys of %s: %v\nwant %v", address, keys, want)
		}
	}

	have := make(map[string]bool)
	collect(have, "", s.clusterStatuses()[name].keys)
	for _, key := range ours(envoyJSONKeys()) {
		known, maybe := strings.CutPrefix(key, "?")
		if !maybe && !have[key] {
			t.Errorf("the JSON has no %s", key)
		}
		delete(have, known)
	}
	for key := range have {
		t.Errorf("the JSON has %s, which Envoy's has not", key)
	}
}

// collect notes the keys of a JSON value and of those in it.
func collect(have map[string]bool, prefix string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			have[prefix+key] = true
			collect(have, prefix+key+".", inner)
		}
	case []any:
		for _, inner := range v {
			collect(have, prefix, inner)
		}
	}
}

// promisedMetrics are the metrics of clusters that dashboards rely on.
func promisedMetrics() (all []string) {
	for _, group := range []struct{ prefix, names string }{
		{"upstream_cx_", "total active connect_fail connect_timeout overflow none_healthy connect_attempts_exceeded destroy_local destroy_remote " +
			"rx_bytes_total tx_bytes_total connect_ms_bucket connect_ms_sum connect_ms_count length_ms_bucket length_ms_sum length_ms_count"},
		{"membership_", "total healthy degraded change"},
		{"lb_", "healthy_panic"},
		{"health_check_", "attempt success failure passive_failure network_failure healthy"},
		{"outlier_detection_ejections_", "active enforced_total overflow total " +
			"detected_consecutive_local_origin_failure enforced_consecutive_local_origin_failure " +
			"detected_local_origin_success_rate enforced_local_origin_success_rate " +
			"detected_local_origin_failure_percentage enforced_local_origin_failure_percentage " +
			"detected_consecutive_5xx enforced_consecutive_5xx detected_consecutive_gateway_failure enforced_consecutive_gateway_failure " +
			"detected_success_rate enforced_success_rate detected_failure_percentage enforced_failure_percentage " +
			"detected_consecutive_early_close enforced_consecutive_early_close " +
			"detected_consecutive_first_byte_timeout enforced_consecutive_first_byte_timeout"},
		{"circuit_breakers_default_", "cx_open remaining_cx"},
		{"update_", "attempt success failure empty no_rebuild"},
	} {
		for _, name := range strings.Fields(group.names) {
			all = append(all, "envoy_cluster_"+group.prefix+name)
		}
	}
	return all
}

// TestPromisedMetrics scrapes a sidecar that nobody has used: each metric is
// there, and no label has an endpoint's address.
func TestPromisedMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	up := newServer(w, w.remote, remoteIP+":7000")
	s := startSidecar(w, gatewayText(quickDrain, gateway{name: "all", port: 8081, endpoints: []string{up.address},
		cluster: "type: strict_dns\n  dns: {resolvers: [\"127.0.0.1:9\"]}\n  outlier_detection: {max_ejection_percent: 100}\n  " + quickCheck(0)}), asSidecar(redirect))
	s.waitHealthy(1, "all")
	for _, when := range []string{"before any connection", "after one"} {
		m := s.metrics()
		for _, name := range promisedMetrics() {
			if !slices.ContainsFunc(m, func(s sample) bool { return s.family == name && strings.Contains(s.labels, ofCluster("all")) }) {
				t.Errorf("%s: no %s", when, name)
			}
		}
		for _, one := range m {
			if strings.Contains(one.labels, remoteIP) || strings.Contains(one.labels, strings.ReplaceAll(remoteIP, ".", "_")) {
				t.Errorf("%s%s has an address", one.family, one.labels)
			}
		}
		converse(s, w.client, podIP+":8081")
	}
}
