package outlier

import (
	"encoding/json"
	"strconv"
	"time"
)

// Action is what was done to an endpoint.
type Action uint8

// Eject takes it out of load balancing, Uneject lets it back.
const (
	Eject Action = iota
	Uneject
)

// String is the name in event logs.
func (a Action) String() string {
	if a == Uneject {
		return "UNEJECT"
	}
	return "EJECT"
}

// Event is an entry of the outlier event log, Envoy's
// data.cluster.v3.OutlierDetectionEvent.
type Event struct {
	Action       Action
	Reason       Reason // of Uneject: that of the ejection
	Cluster      string
	ID           int32
	Address      string
	TimesEjected uint32
	Enforced     bool      // false: counted only, because of enforcing_*
	Time         time.Time // when
	Last         time.Time // the latest opposite action; zero: none

	SuccessRate float64 // of Eject by success rate or failure percentage; else NoRate
	Average     Average // the same
}

// logged is an Event as Envoy writes it: figures of 64 bits are strings in
// protobuf's JSON.
type logged struct {
	Type         string          `json:"type"`
	Cluster      string          `json:"cluster_name"`
	Address      string          `json:"upstream_url"`
	Action       string          `json:"action"`
	TimesEjected uint32          `json:"num_ejections"`
	Enforced     bool            `json:"enforced"`
	Time         time.Time       `json:"timestamp"`
	Since        string          `json:"secs_since_last_action,omitempty"`
	SuccessRate  *loggedRate     `json:"eject_success_rate_event,omitempty"`
	Percentage   *loggedHostRate `json:"eject_failure_percentage_event,omitempty"`
	Consecutive  *struct{}       `json:"eject_consecutive_event,omitempty"`
}

type loggedHostRate struct {
	Host uint32 `json:"host_success_rate"`
}

type loggedRate struct {
	loggedHostRate
	Average   uint32 `json:"cluster_average_success_rate"`
	Threshold uint32 `json:"cluster_success_rate_ejection_threshold"`
}

// MarshalJSON writes an entry with the names of Envoy's log.
func (e Event) MarshalJSON() ([]byte, error) {
	l := logged{
		Type: e.Reason.String(), Cluster: e.Cluster, Address: e.Address, Action: e.Action.String(),
		TimesEjected: e.TimesEjected, Enforced: e.Enforced, Time: e.Time.UTC(),
	}
	if !e.Last.IsZero() {
		l.Since = strconv.FormatInt(int64(e.Time.Sub(e.Last)/time.Second), 10)
	}
	if e.Action == Eject {
		host := loggedHostRate{whole(e.SuccessRate)}
		switch e.Reason {
		case SuccessRate, SuccessRateLocalOrigin:
			l.SuccessRate = &loggedRate{host, whole(e.Average.SuccessRate), whole(e.Average.EjectionThreshold)}
		case FailurePercentage, FailurePercentageLocalOrigin:
			l.Percentage = &host
		default:
			l.Consecutive = &struct{}{}
		}
	}
	return json.Marshal(l)
}

// whole is a percentage as the log has it; a threshold may lie below 0.
func whole(percent float64) uint32 { return uint32(max(percent, 0)) }
