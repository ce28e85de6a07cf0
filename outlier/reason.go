package outlier

// Reason is the kind of detection that ejects an endpoint.
type Reason uint8

// The reasons, as Envoy's data.cluster.v3.OutlierEjectionType, and two of ours
// behind them. None is that of an endpoint that was never ejected.
const (
	None Reason = iota
	Consecutive5xx
	ConsecutiveGatewayFailure
	SuccessRate
	ConsecutiveLocalOriginFailure
	SuccessRateLocalOrigin
	FailurePercentage
	FailurePercentageLocalOrigin
	ConsecutiveEarlyClose       // connected, then closed before a byte came
	ConsecutiveFirstByteTimeout // connected, sent to, and no byte came in time
)

// reasons is how many there are, None included.
const reasons = int(ConsecutiveFirstByteTimeout) + 1

// Reasons lists all but None.
func Reasons() []Reason {
	list := make([]Reason, 0, reasons-1)
	for r := None + 1; int(r) < reasons; r++ {
		list = append(list, r)
	}
	return list
}

// String is the name in event logs, such as CONSECUTIVE_LOCAL_ORIGIN_FAILURE.
func (r Reason) String() string {
	logged, _ := r.names()
	return logged
}

// names are that of event logs and that of counters; Envoy's differ in the
// order of words.
func (r Reason) names() (logged, counted string) {
	switch r {
	case Consecutive5xx:
		return "CONSECUTIVE_5XX", "consecutive_5xx"
	case ConsecutiveGatewayFailure:
		return "CONSECUTIVE_GATEWAY_FAILURE", "consecutive_gateway_failure"
	case SuccessRate:
		return "SUCCESS_RATE", "success_rate"
	case ConsecutiveLocalOriginFailure:
		return "CONSECUTIVE_LOCAL_ORIGIN_FAILURE", "consecutive_local_origin_failure"
	case SuccessRateLocalOrigin:
		return "SUCCESS_RATE_LOCAL_ORIGIN", "local_origin_success_rate"
	case FailurePercentage:
		return "FAILURE_PERCENTAGE", "failure_percentage"
	case FailurePercentageLocalOrigin:
		return "FAILURE_PERCENTAGE_LOCAL_ORIGIN", "local_origin_failure_percentage"
	case ConsecutiveEarlyClose:
		return "CONSECUTIVE_EARLY_CLOSE", "consecutive_early_close"
	case ConsecutiveFirstByteTimeout:
		return "CONSECUTIVE_FIRST_BYTE_TIMEOUT", "consecutive_first_byte_timeout"
	default:
		return "", ""
	}
}
