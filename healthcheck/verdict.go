package healthcheck

// State is what the checks of an endpoint say together.
type State uint8

// An endpoint is Pending until its first result. It is Healthy when all its
// checks are, and Degraded when one of them says so.
const (
	Unknown   State = iota // no such endpoint, or no checks
	Pending                // takes no load in Envoy: failed until the contrary is shown
	Unhealthy              // takes no load
	Degraded               // takes what the healthy ones cannot
	Healthy
)

// String is for people.
func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Unhealthy:
		return "unhealthy"
	case Degraded:
		return "degraded"
	case Healthy:
		return "healthy"
	}
	return "unknown"
}

// Verdict is a state and why.
type Verdict struct {
	State   State
	Failure Failure // of the last failure, if Unhealthy
	Reason  string  // what failed, if Unhealthy
}

// Failure is the kind of a failed check (data.core.v3.HealthCheckFailureType).
type Failure uint8

// The failures. Active and Passive ones count at once, the others when
// unhealthy_threshold of them came in a row: an answer that says no is certain,
// a lost packet is not.
const (
	NoFailure Failure = iota
	Active            // the endpoint answered, and it was a no
	Passive           // x-envoy-immediate-health-check-fail
	Network           // no connection, or one that ended or was not understood
	Timeout
)

// String gives Envoy's names.
func (f Failure) String() string {
	switch f {
	case Active:
		return "ACTIVE"
	case Passive:
		return "PASSIVE"
	case Network:
		return "NETWORK"
	case Timeout:
		return "NETWORK_TIMEOUT"
	}
	return ""
}

func (f Failure) certain() bool { return f == Active || f == Passive }
