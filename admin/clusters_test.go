package admin

import (
	"encoding/json"
	"testing"
)

type healthCase struct{ flags, want string }

// The JSON names some flags otherwise than the text, as Envoy's does.
func TestHealthJSON(t *testing.T) {
	for _, tc := range []healthCase{
		{"", `{"eds_health_status":"HEALTHY"}`},
		{"/failed_eds_health", `{"eds_health_status":"UNHEALTHY"}`},
		{"/degraded_eds_health", `{"eds_health_status":"DEGRADED"}`},
		{"/failed_active_hc/pending_active_hc", `{"eds_health_status":"HEALTHY","failed_active_health_check":true,"pending_active_hc":true}`},
		{"/failed_outlier_check/degraded_active_hc", `{"eds_health_status":"HEALTHY","failed_active_degraded_check":true,"failed_outlier_check":true}`},
	} {
		e := EndpointInfo{HealthFlags: tc.flags}
		got, err := json.Marshal(e.healthJSON())
		if err != nil || string(got) != tc.want {
			t.Errorf("%q is %s (%v), want %s", tc.flags, got, err, tc.want)
		}
	}
}
