package outlier

// Result is one thing that happened on a connection to an endpoint.
type Result uint8

// The results that a relay of bytes sees.
const (
	// LocalConnectSuccess is a connection that was made.
	LocalConnectSuccess Result = iota
	// LocalConnectFailed is one that was refused, reset or unreachable.
	LocalConnectFailed
	// LocalTimeout is one that was not made in connect_timeout.
	LocalTimeout
	// EarlyClose is one that was made, and that the endpoint closed or reset
	// within early_close_window without having sent a byte.
	EarlyClose
	// FirstByteTimeout is one that was made and sent bytes to, and on which no
	// byte came back in first_byte_timeout.
	FirstByteTimeout
	// FirstByte is the first byte of an endpoint on a connection. It ends the
	// runs of EarlyClose and FirstByteTimeout.
	FirstByte
)

// The results of protocols with answers.
const (
	// LocalConnectSuccessFinal is a connection that was made where nothing
	// else will be reported of it: without split it counts as a good answer,
	// LocalConnectSuccess as nothing.
	LocalConnectSuccessFinal Result = iota + 16
	// ExternalSuccess is a good answer.
	ExternalSuccess
	// ExternalFailure is a bad answer: HTTP's 5xx, or a transaction of
	// another protocol that failed.
	ExternalFailure
	// ExternalGatewayFailure is HTTP's 502, 503 or 504.
	ExternalGatewayFailure
)

// Report takes in one result. It may be called from any thread, blocks and
// allocates nothing, and goes on working, to no effect, after the endpoint was
// removed. It says whether that many results in a row have come that the
// endpoint is to be ejected: then the caller sees to it that Settle runs soon.
func (m *Monitor) Report(r Result) (crossed bool) {
	switch r {
	case EarlyClose:
		return m.extend(runEarlyClose)
	case FirstByteTimeout:
		return m.extend(runFirstByteTimeout)
	case FirstByte:
		m.end(runEarlyClose)
		m.end(runFirstByteTimeout)
		return false
	}
	if m.rules.split {
		return m.reportSplit(r)
	}
	return m.reportTogether(r)
}

// reportSplit is Envoy's putResultWithLocalExternalSplit.
func (m *Monitor) reportSplit(r Result) (crossed bool) {
	switch r {
	case LocalConnectSuccess, LocalConnectSuccessFinal:
		m.connected()
		return false
	case LocalConnectFailed, LocalTimeout:
		m.local.failures.Add(1)
		return m.extend(runLocalOrigin)
	case ExternalSuccess:
		m.answered()
		m.connected()
		return false
	case ExternalFailure, ExternalGatewayFailure:
		return m.gatewayFailed() // a failed transaction is a 503
	default:
		return false
	}
}

// reportTogether is Envoy's putResultNoLocalExternalSplit: failing to connect
// is 503, in time 504.
func (m *Monitor) reportTogether(r Result) (crossed bool) {
	switch r {
	case LocalConnectSuccessFinal, ExternalSuccess:
		m.answered()
		return false
	case LocalConnectFailed, LocalTimeout, ExternalGatewayFailure:
		return m.gatewayFailed()
	case ExternalFailure:
		m.external.failures.Add(1)
		m.end(runGateway)
		return m.extend(run5xx)
	default:
		return false
	}
}

func (m *Monitor) connected() {
	m.local.successes.Add(1)
	m.end(runLocalOrigin)
}

func (m *Monitor) answered() {
	m.external.successes.Add(1)
	m.end(run5xx)
	m.end(runGateway)
}

func (m *Monitor) gatewayFailed() (crossed bool) {
	m.external.failures.Add(1)
	gateway := m.extend(runGateway)
	return m.extend(run5xx) || gateway
}
