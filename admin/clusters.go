package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// clusters is Envoy's ClustersHandler: outliers, circuit breakers, then each endpoint
// with what only it has. What concerns requests is left out: there are none.
func (a *api) clusters(w http.ResponseWriter, r *http.Request) {
	asJSON, ok := wantsJSON(w, r)
	if !ok {
		return
	}
	infos := a.Clusters()
	if asJSON {
		statuses := make([]jsonCluster, len(infos))
		for i := range infos {
			statuses[i] = infos[i].json()
		}
		writeJSON(w, map[string]any{"cluster_statuses": statuses})
		return
	}
	var b strings.Builder
	for i := range infos {
		infos[i].write(&b)
	}
	writeText(w, b.String())
}

func (c *ClusterInfo) write(b *strings.Builder) {
	line := func(key string, value any) { fmt.Fprintf(b, "%s::%s::%v\n", c.Name, key, value) }
	line("observability_name", c.Name)
	if o := c.Outliers; o != nil {
		line("outlier::success_rate_average", -1)
		line("outlier::success_rate_ejection_threshold", -1)
		line("outlier::local_origin_success_rate_average", o.Average)
		line("outlier::local_origin_success_rate_ejection_threshold", o.Threshold)
	}
	line("default_priority::max_connections", c.MaxConnections)
	line("default_priority::max_pending_requests", c.MaxPending)
	line("added_via_api", c.AddedViaAPI)
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		for _, field := range e.fields() {
			line(e.Address.String()+"::"+field.name, field.value)
		}
	}
}

type field struct {
	name  string
	value any
}

// fields are in Envoy's order.
func (e *EndpointInfo) fields() []field {
	health := e.HealthFlags
	if health == "" {
		health = "healthy"
	}
	return []field{
		{"cx_active", e.CxActive}, {"cx_connect_fail", e.CxConnectFail}, {"cx_total", e.CxTotal},
		{"hostname", e.Hostname}, {"health_flags", health}, {"weight", e.Weight},
		{"region", e.Region}, {"zone", e.Zone}, {"sub_zone", e.SubZone},
		{"canary", false}, {"priority", e.Priority}, {"success_rate", -1}, {"local_origin_success_rate", e.LocalOriginSuccessRate},
	}
}

// The JSON of Envoy's admin.v3.Clusters.
type (
	jsonCluster struct {
		Name              string         `json:"name"`
		ObservabilityName string         `json:"observability_name"`
		AddedViaAPI       bool           `json:"added_via_api,omitempty"`
		CircuitBreakers   jsonBreakers   `json:"circuit_breakers"`
		EjectionThreshold *jsonPercent   `json:"local_origin_success_rate_ejection_threshold,omitempty"`
		HostStatuses      []jsonEndpoint `json:"host_statuses"`
	}
	jsonBreakers struct {
		Thresholds []jsonThreshold `json:"thresholds"`
	}
	jsonThreshold struct {
		MaxConnections     uint32 `json:"max_connections"`
		MaxPendingRequests uint32 `json:"max_pending_requests"`
	}
	jsonEndpoint struct {
		Address      jsonAddress    `json:"address"`
		Hostname     string         `json:"hostname,omitempty"`
		Stats        []jsonMetric   `json:"stats"`
		HealthStatus map[string]any `json:"health_status"`
		Weight       uint32         `json:"weight"`
		Priority     uint32         `json:"priority,omitempty"`
		Locality     *jsonLocality  `json:"locality,omitempty"`
		SuccessRate  *jsonPercent   `json:"local_origin_success_rate,omitempty"`
	}
	jsonPercent struct {
		Value float64 `json:"value"`
	}
	jsonMetric struct {
		Name  string `json:"name"`
		Type  string `json:"type,omitempty"` // COUNTER is left out, as Envoy does
		Value string `json:"value"`
	}
	jsonLocality struct {
		Region  string `json:"region,omitempty"`
		Zone    string `json:"zone,omitempty"`
		SubZone string `json:"sub_zone,omitempty"`
	}
)

func (c *ClusterInfo) json() jsonCluster {
	j := jsonCluster{
		Name: c.Name, ObservabilityName: c.Name, AddedViaAPI: c.AddedViaAPI,
		CircuitBreakers: jsonBreakers{[]jsonThreshold{{c.MaxConnections, c.MaxPending}}},
		HostStatuses:    make([]jsonEndpoint, len(c.Endpoints)),
	}
	if c.Outliers != nil {
		j.EjectionThreshold = percentJSON(c.Outliers.Threshold)
	}
	for i := range c.Endpoints {
		j.HostStatuses[i] = c.Endpoints[i].json()
	}
	return j
}

func (e *EndpointInfo) json() jsonEndpoint {
	j := jsonEndpoint{
		Address: addressJSON(e.Address), Hostname: e.Hostname, Weight: e.Weight, Priority: e.Priority, HealthStatus: e.healthJSON(),
		Stats: []jsonMetric{
			{"cx_connect_fail", "", number(e.CxConnectFail)}, {"cx_total", "", number(e.CxTotal)}, {"cx_active", "GAUGE", number(e.CxActive)},
		},
	}
	j.SuccessRate = percentJSON(e.LocalOriginSuccessRate)
	if e.Region+e.Zone+e.SubZone != "" {
		j.Locality = &jsonLocality{e.Region, e.Zone, e.SubZone}
	}
	return j
}

// healthJSON is Envoy's admin.v3.HostHealthStatus: a field for each way of
// being unhealthy, not all called as in the text.
func (e *EndpointInfo) healthJSON() map[string]any {
	status := map[string]any{"eds_health_status": "HEALTHY"}
	for _, flag := range strings.FieldsFunc(e.HealthFlags, func(r rune) bool { return r == '/' }) {
		switch flag {
		case "failed_active_hc":
			flag = "failed_active_health_check"
		case "degraded_active_hc":
			flag = "failed_active_degraded_check"
		case "degraded_eds_health":
			if status["eds_health_status"] == "HEALTHY" {
				status["eds_health_status"] = "DEGRADED"
			}
			continue
		case "failed_eds_health":
			status["eds_health_status"] = "UNHEALTHY"
			continue
		}
		status[flag] = true
	}
	return status
}

// percentJSON leaves out what is not known.
func percentJSON(percent float64) *jsonPercent {
	if percent < 0 {
		return nil
	}
	return &jsonPercent{percent}
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }
