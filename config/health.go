package config

import "time"

// HealthCheckType is the protocol of an active health check.
type HealthCheckType string

// HealthCheckTCP connects, and compares payloads where there are some.
// HealthCheckHTTP wants an expected status; HealthCheckGRPC wants SERVING from
// grpc.health.v1.Health.
const (
	HealthCheckTCP  HealthCheckType = "tcp"
	HealthCheckHTTP HealthCheckType = "http"
	HealthCheckGRPC HealthCheckType = "grpc"
)

// HealthCheck is one active check of all endpoints of a cluster. The names are
// those of Envoy's core.v3.HealthCheck.
type HealthCheck struct {
	Type                  HealthCheckType
	Interval              time.Duration
	Timeout               time.Duration
	UnhealthyThreshold    uint32
	HealthyThreshold      uint32
	IntervalJitter        time.Duration
	InitialJitter         time.Duration
	NoTrafficInterval     time.Duration // as long as the cluster never had a connection
	UnhealthyInterval     time.Duration // 0 = Interval
	UnhealthyEdgeInterval time.Duration // between the failures that make it unhealthy; 0 = UnhealthyInterval
	HealthyEdgeInterval   time.Duration // between the successes that make it healthy; 0 = Interval
	ReuseConnection       bool
	Port                  uint16 // 0 = the endpoint's own
	TCP                   TCPHealthCheck
	HTTP                  HTTPHealthCheck
	GRPC                  GRPCHealthCheck
}

// TCPHealthCheck is what is sent and what must come back, both in hex. Receive
// lists blocks that must occur in the answer in this order, with anything in
// between. Without both, a connection that is made is enough.
//
// A kernel makes connections for an application that hangs, until the queue of
// the listening socket is full. ExpectReaction tells the two apart without
// knowing the protocol: after Send it sends FIN, and wants bytes or a FIN in
// return within the timeout, which only a process that runs can give. It is
// not for applications that leave a connection open after their peer's FIN.
type TCPHealthCheck struct {
	Send           string
	Receive        []string
	ExpectReaction bool
}

// HTTPHealthCheck is the request and the statuses that are healthy.
type HTTPHealthCheck struct {
	Path             string
	Host             string // "" = the cluster's name, or the endpoint's address where that is no name of a host
	Method           string
	ExpectedStatuses []string // a status, or a range such as 200-299
	Headers          []HTTPHeader
}

// HTTPHeader is sent with each check.
type HTTPHeader struct {
	Name  string
	Value string
}

// GRPCHealthCheck names the service that is asked for; "" is the whole server.
type GRPCHealthCheck struct {
	ServiceName string
}

// OutlierDetection ejects endpoints by how connections to them end. The names,
// the defaults and the arithmetic are those of Envoy's
// cluster.v3.OutlierDetection; a TCP connection that is made is a success, one
// that is not is a failure of local origin.
type OutlierDetection struct {
	Interval                               time.Duration // between sweeps
	BaseEjectionTime                       time.Duration
	MaxEjectionTime                        time.Duration
	MaxEjectionTimeJitter                  time.Duration
	MaxEjectionPercent                     uint32
	AlwaysEjectOneHost                     bool
	ConsecutiveLocalOriginFailure          uint32
	EnforcingConsecutiveLocalOriginFailure uint32 // percent

	SuccessRateMinimumHosts         uint32
	SuccessRateRequestVolume        uint32
	SuccessRateStdevFactor          uint32 // thousandths
	EnforcingLocalOriginSuccessRate uint32 // percent

	FailurePercentageThreshold            uint32
	FailurePercentageMinimumHosts         uint32
	FailurePercentageRequestVolume        uint32
	EnforcingFailurePercentageLocalOrigin uint32 // percent

	ConsecutiveEarlyClose       uint32 // 0 = off
	EarlyCloseWindow            time.Duration
	ConsecutiveFirstByteTimeout uint32 // 0 = off
	FirstByteTimeout            time.Duration

	SuccessfulActiveHealthCheckUnejectHost bool
}
