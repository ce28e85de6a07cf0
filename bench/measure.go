package bench

import "time"

// Measure is what was measured of one load.
type Measure struct {
	Load      Load          `json:"load"`
	Elapsed   time.Duration `json:"elapsed"`    // of the measured part, nanoseconds
	Answers   uint64        `json:"answers"`    // responses that came whole
	Opened    uint64        `json:"opened"`     // connections opened in the measured part, or for Idle held at its end
	BytesUp   uint64        `json:"bytes_up"`   // payload, client to backend
	BytesDown uint64        `json:"bytes_down"` // payload, backend to client

	// Latency is from when a request (or connection) was due to its whole
	// response: under Rate when the clock said so, which corrects for
	// coordinated omission, otherwise when it was sent.
	Latency Latency `json:"latency"`

	// Lag is, under Rate, how late requests were sent although a connection
	// was free: the generator's own part of Latency.
	Lag Latency `json:"lag"`

	// Errors counts what went wrong, by name. Any voids the measure.
	Errors map[string]uint64 `json:"errors,omitempty"`

	Proxy     Usage `json:"proxy"`     // of the watched processes
	Generator Usage `json:"generator"` // of the process that made the load
}

// Latency is a distribution of times.
type Latency struct {
	Count uint64        `json:"count"`
	Min   time.Duration `json:"min"`
	Mean  time.Duration `json:"mean"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
	P999  time.Duration `json:"p999"`
	Max   time.Duration `json:"max"`
	Curve []Quantile    `json:"curve,omitempty"` // for plots, percentiles rising
}

// Quantile is one point of a distribution.
type Quantile struct {
	Percentile float64       `json:"percentile"` // 0 to 100
	Value      time.Duration `json:"value"`
}

// Usage is what processes used in the measured part.
type Usage struct {
	User        time.Duration `json:"user"`        // processor time, all threads
	System      time.Duration `json:"system"`      //
	Voluntary   uint64        `json:"voluntary"`   // context switches: waited
	Involuntary uint64        `json:"involuntary"` // context switches: was preempted
	Memory      Memory        `json:"memory"`      // at the end
	Before      Memory        `json:"before"`      // before the load's first connection
	Threads     int           `json:"threads"`     // at the end
	Processes   int           `json:"processes"`   // at the end; 0: none was watched
}

// CPU is the processor time in all.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// Memory is what processes hold, in bytes.
type Memory struct {
	RSS uint64 `json:"rss"`
	PSS uint64 `json:"pss"` // shared pages counted by share
}
