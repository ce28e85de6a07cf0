package outlier

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEventLog(t *testing.T) {
	s := forTCP()
	s.SuccessRateMinimumHosts, s.SuccessRateRequestVolume = 5, 10
	s.FailurePercentageMinimumHosts, s.FailurePercentageRequestVolume = 5, 10
	var lines []string
	addresses := []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80", "[fd00::5]:80"}
	d := New(s, Options{
		Cluster: "web",
		Address: func(id int32) string { return addresses[id] },
		Event: func(e Event) {
			line, err := json.Marshal(e)
			if err != nil {
				t.Error(err)
			}
			lines = append(lines, string(line))
		},
	})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for id := range addresses {
		m := d.Add(int32(id))
		for range 10 {
			if id == 4 {
				m.Report(LocalConnectFailed)
			} else {
				m.Report(LocalConnectSuccess)
			}
		}
	}
	d.Settle(now)
	d.Sweep(now.Add(10 * time.Second))
	d.Sweep(now.Add(30 * time.Second))
	for range 10 {
		for id := range addresses {
			if id == 4 {
				d.Add(4).Report(LocalConnectFailed)
				d.Add(4).Report(LocalConnectSuccess) // no run
			}
			d.Add(int32(id)).Report(LocalConnectSuccess)
		}
	}
	d.Sweep(now.Add(40500 * time.Millisecond))
	want := []string{
		`{"type":"CONSECUTIVE_LOCAL_ORIGIN_FAILURE","cluster_name":"web","upstream_url":"[fd00::5]:80","action":"EJECT","num_ejections":1,"enforced":true,"timestamp":"2026-01-02T03:04:05Z","eject_consecutive_event":{}}`,
		`{"type":"CONSECUTIVE_LOCAL_ORIGIN_FAILURE","cluster_name":"web","upstream_url":"[fd00::5]:80","action":"UNEJECT","num_ejections":1,"enforced":true,"timestamp":"2026-01-02T03:04:35Z","secs_since_last_action":"30"}`,
		`{"type":"SUCCESS_RATE_LOCAL_ORIGIN","cluster_name":"web","upstream_url":"[fd00::5]:80","action":"EJECT","num_ejections":2,"enforced":true,"timestamp":"2026-01-02T03:04:45.5Z","secs_since_last_action":"10","eject_success_rate_event":{"host_success_rate":66,"cluster_average_success_rate":93,"cluster_success_rate_ejection_threshold":68}}`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestEventOfFailurePercentage(t *testing.T) {
	line, err := json.Marshal(Event{Reason: FailurePercentageLocalOrigin, SuccessRate: 12.5, Average: noAverage()})
	if err != nil || !strings.HasSuffix(string(line), `"eject_failure_percentage_event":{"host_success_rate":12}}`) {
		t.Errorf("got %s, %v", line, err)
	}
}

// TestCallbacksMayCallBack lets the owner ask and act from within Changed, and
// wants to be told in order all the same.
func TestCallbacksMayCallBack(t *testing.T) {
	var d *Detector
	var told []bool
	now := virtual(0)
	d = New(forTCP(), Options{Changed: func(id int32, ejected bool, why Reason) {
		if why != ConsecutiveLocalOriginFailure {
			t.Errorf("why is %v", why)
		}
		told = append(told, ejected)
		if status, ok := d.Status(id); !ok || status.Ejected != ejected || d.Counts().Active > 1 {
			t.Errorf("status %+v", status)
		}
		if ejected {
			d.HealthCheckResult(id, true, now)
			if len(told) != 1 {
				t.Error("told before the first was over")
			}
		}
	}})
	m := d.Add(1)
	for range 5 {
		m.Report(LocalConnectFailed)
	}
	d.Settle(now)
	if !slices.Equal(told, []bool{true, false}) {
		t.Errorf("told %v", told)
	}
}

// TestCounterNames holds the names to Envoy's documentation, "Cluster
// statistics: outlier detection statistics".
func TestCounterNames(t *testing.T) {
	var names []string
	var c Counts
	c.Each(func(name string, _ uint64) { names = append(names, name) })
	slices.Sort(names)
	want := strings.Fields(`
		ejections_active ejections_consecutive_5xx
		ejections_detected_consecutive_5xx ejections_detected_consecutive_early_close
		ejections_detected_consecutive_first_byte_timeout ejections_detected_consecutive_gateway_failure
		ejections_detected_consecutive_local_origin_failure ejections_detected_failure_percentage
		ejections_detected_local_origin_failure_percentage ejections_detected_local_origin_success_rate
		ejections_detected_success_rate
		ejections_enforced_consecutive_5xx ejections_enforced_consecutive_early_close
		ejections_enforced_consecutive_first_byte_timeout ejections_enforced_consecutive_gateway_failure
		ejections_enforced_consecutive_local_origin_failure ejections_enforced_failure_percentage
		ejections_enforced_local_origin_failure_percentage ejections_enforced_local_origin_success_rate
		ejections_enforced_success_rate ejections_enforced_total
		ejections_overflow ejections_success_rate ejections_total`)
	if !slices.Equal(names, want) {
		t.Errorf("got %v\nwant %v", names, want)
	}
}
