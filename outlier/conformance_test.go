package outlier

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/conformance"
)

// conformanceCase is a sequence of testdata/conformance: what another
// implementation of the model does with it.
type conformanceCase struct {
	ID     string                     `json:"id"`
	Source string                     `json:"source_test"`
	Config map[string]json.RawMessage `json:"config"`
	Hosts  []string                   `json:"hosts"`
	Events []conformanceOp            `json:"events"`
	Stats  map[string]uint64          `json:"expect_stats"`
}

type conformanceOp struct {
	At       int64           `json:"t_ms"`
	Op       string          `json:"op"`
	Host     string          `json:"host"`
	Hosts    []string        `json:"hosts"`
	Count    int             `json:"count"`
	Result   string          `json:"result"`
	HTTPCode int             `json:"http_code"`
	Healthy  bool            `json:"healthy"`
	Events   []conformanceOp `json:"events"`

	Ejected   *[]string          `json:"ejected"`
	Active    *uint64            `json:"ejections_active"`
	Rates     map[string]float64 `json:"local_success_rate"`
	Average   *float64           `json:"local_average"`
	Threshold *float64           `json:"local_ejection_threshold"`
}

func TestConformance(t *testing.T) {
	for _, c := range conformance.Cases[conformanceCase](t, "testdata/conformance/outlier_detection.json") {
		t.Run(c.ID+"/"+c.Source, func(t *testing.T) {
			r := newReplay(t, settingsFrom(t, c.Config), c.Hosts)
			r.run(c.Events)
			r.stats(c.Stats)
		})
	}
}

// settingsFrom reads a configuration with Envoy's names. Defaults are Envoy's;
// numbers of milliseconds end in _ms.
func settingsFrom(t *testing.T, given map[string]json.RawMessage) Settings {
	t.Helper()
	s := envoyDefaults()
	numbers := map[string]*uint32{
		"max_ejection_percent":                       &s.MaxEjectionPercent,
		"enforcing_consecutive_local_origin_failure": &s.EnforcingConsecutiveLocalOriginFailure,
		"enforcing_local_origin_success_rate":        &s.EnforcingLocalOriginSuccessRate,
		"enforcing_failure_percentage_local_origin":  &s.EnforcingFailurePercentageLocalOrigin,
		"failure_percentage_threshold":               &s.FailurePercentageThreshold,
		"success_rate_minimum_hosts":                 &s.SuccessRateMinimumHosts,
	}
	var ms int64
	for name, value := range given {
		var to any
		switch number := numbers[name]; {
		case number != nil:
			to = number
		case name == "split_external_local_origin_errors":
			to = &s.SplitExternalLocalOriginErrors
		case name == "base_ejection_time_ms":
			to = &ms
		default:
			t.Fatalf("no rule for %s", name)
		}
		if err := json.Unmarshal(value, to); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if to == &ms {
			s.BaseEjectionTime = time.Duration(ms) * time.Millisecond
		}
	}
	return s
}

// replay runs operations in virtual time and keeps Settle as near to Report
// as can be.
type replay struct {
	t        *testing.T
	d        *Detector
	settings Settings
	hosts    []string
	monitors []*Monitor
	ejected  map[int32]bool // as Changed told
}

func newReplay(t *testing.T, s Settings, hosts []string) *replay {
	r := &replay{t: t, settings: s, hosts: hosts, ejected: make(map[int32]bool)}
	r.d = New(s, Options{Changed: func(id int32, ejected bool, _ Reason) {
		if r.ejected[id] == ejected {
			t.Errorf("told twice in a row that ejected is %v for %s", ejected, hosts[id])
		}
		r.ejected[id] = ejected
	}})
	for i := range hosts {
		r.monitors = append(r.monitors, r.d.Add(int32(i)))
	}
	return r
}

func virtual(ms int64) time.Time {
	return time.Unix(1_700_000_000, 0).Add(time.Duration(ms) * time.Millisecond)
}

func (r *replay) host(name string) int32 {
	i := slices.Index(r.hosts, name)
	if i < 0 {
		r.t.Fatalf("there is no host %q", name)
	}
	return int32(i)
}

func (r *replay) run(ops []conformanceOp) {
	for i := range ops {
		op := &ops[i]
		switch op.Op {
		case "report":
			for range op.Count {
				if r.monitors[r.host(op.Host)].Report(r.result(op)) {
					r.d.Settle(virtual(op.At))
				}
			}
		case "sweep":
			r.d.Sweep(virtual(op.At))
		case "health_check_result":
			r.d.HealthCheckResult(r.host(op.Host), op.Healthy, virtual(op.At))
		case "remove_hosts":
			for _, name := range op.Hosts {
				r.d.Remove(r.host(name))
				delete(r.ejected, r.host(name))
			}
		case "repeat":
			for range op.Count {
				r.run(op.Events)
			}
		case "expect":
			r.expect(i, op)
		default:
			r.t.Fatalf("no rule for op %q", op.Op)
		}
	}
}

// result reads a result; without split an HTTP code says more than the rest.
func (r *replay) result(op *conformanceOp) Result {
	if code := op.HTTPCode; code != 0 && !r.settings.SplitExternalLocalOriginErrors {
		switch {
		case code >= 502 && code <= 504:
			return ExternalGatewayFailure
		case code >= 500:
			return ExternalFailure
		default:
			return ExternalSuccess
		}
	}
	result, ok := map[string]Result{
		"external_failure":            ExternalFailure,
		"external_success":            ExternalSuccess,
		"local_connect_failed":        LocalConnectFailed,
		"local_timeout":               LocalTimeout,
		"local_connect_success":       LocalConnectSuccess,
		"local_connect_success_final": LocalConnectSuccessFinal,
	}[op.Result]
	if !ok {
		r.t.Fatalf("no rule for result %q", op.Result)
	}
	return result
}

func (r *replay) expect(i int, want *conformanceOp) {
	r.t.Helper()
	counts := r.d.Counts()
	if want.Ejected != nil {
		var ejected, told []string
		for id, name := range r.hosts {
			if status, ok := r.d.Status(int32(id)); ok && status.Ejected {
				ejected = append(ejected, name)
			}
			if r.ejected[int32(id)] {
				told = append(told, name)
			}
		}
		if !slices.Equal(ejected, *want.Ejected) || !slices.Equal(told, *want.Ejected) {
			r.t.Errorf("event %d: ejected %v, told %v, want %v", i, ejected, told, *want.Ejected)
		}
		if counts.Active != uint64(len(ejected)) {
			r.t.Errorf("event %d: %d ejections active, but %v ejected", i, counts.Active, ejected)
		}
	}
	if want.Active != nil && counts.Active != *want.Active {
		r.t.Errorf("event %d: %d ejections active, want %d", i, counts.Active, *want.Active)
	}
	for name, rate := range want.Rates {
		if status, _ := r.d.Status(r.host(name)); status.LocalSuccessRate != rate {
			r.t.Errorf("event %d: success rate of %s is %v, want %v", i, name, status.LocalSuccessRate, rate)
		}
	}
	average := r.d.Average(LocalOrigin)
	if want.Average != nil && average.SuccessRate != *want.Average {
		r.t.Errorf("event %d: average %v, want %v", i, average.SuccessRate, *want.Average)
	}
	if want.Threshold != nil && average.EjectionThreshold != *want.Threshold {
		r.t.Errorf("event %d: threshold %v, want %v", i, average.EjectionThreshold, *want.Threshold)
	}
}

func (r *replay) stats(want map[string]uint64) {
	r.t.Helper()
	counts := r.d.Counts()
	got := make(map[string]uint64)
	counts.Each(func(name string, value uint64) { got[name] = value })
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			r.t.Errorf("%s is %d (there: %v), want %d", name, v, ok, value)
		}
	}
}

// TestConformanceIsUnderstood keeps fields that nobody reads from passing for
// tested.
func TestConformanceIsUnderstood(t *testing.T) {
	text, err := os.ReadFile("testdata/conformance/outlier_detection.json")
	if err != nil {
		t.Fatal(err)
	}
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	var file struct {
		Fields string `json:"fields"`
		Cases  []struct {
			conformanceCase
			File   string `json:"source_file"`
			Origin string `json:"origin"`
			Note   string `json:"note"`
		} `json:"cases"`
	}
	if err := strict.Decode(&file); err != nil {
		t.Error(err)
	}
}
