package relay

import (
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/stats"
)

// Side is one end of a relay.
type Side uint8

// The sides. A flow is named after the side that its bytes come from.
const (
	Downstream Side = iota
	Upstream
)

func (s Side) other() Side { return 1 - s }

// Sockets are the descriptors of a relay by Side, connected and non-blocking.
type Sockets [2]int

// Status is what a relay wants after it moved what it could.
type Status uint8

// Waiting relays want the next event or timer; those in Again have used up
// their share of this turn; Finished ones have closed both sockets.
const (
	Waiting Status = iota
	Again
	Finished
)

// Cause is how a relay ended.
type Cause uint8

// The causes. Fin: both sides sent FIN. Reset: a side sent RST. Error: a socket
// failed otherwise (End.Errno, for example ETIMEDOUT by keepalive). The
// timeouts are those of Timeouts. Stopped: Close or Reset was called.
const (
	Open Cause = iota
	Fin
	Reset
	Error
	IdleTimeout
	HalfCloseTimeout
	MaxDuration
	Stopped
)

// End is who ended a relay, and how. By is meaningful for Fin (the side that
// was first), Reset and Error.
type End struct {
	Cause Cause
	By    Side
	Errno sock.Errno
}

// Timeouts end relays; 0 means never.
type Timeouts struct {
	Idle      time.Duration // no byte either way
	HalfClose time.Duration // no byte either way after the first FIN
	Duration  time.Duration // whole life, from Start's began
}

// Meter says where a relay's bytes are counted while it lives. It is made once
// for each loop, chain and cluster, and shared by their relays.
type Meter struct {
	Shard         *stats.Shard
	DownstreamRx  stats.Counter // read from downstream
	DownstreamTx  stats.Counter // written to downstream
	UpstreamRx    stats.Counter
	UpstreamTx    stats.Counter
	IstioReceived stats.Counter // read from downstream, under Istio's name
	IstioSent     stats.Counter // written to downstream, under Istio's name
	CopyBytes     stats.Counter // written by the copy engine
	SpliceBytes   stats.Counter // written by the splice engine
}

func (m *Meter) read(from Side, n int) {
	if from == Downstream {
		m.Shard.Add(m.DownstreamRx, uint64(n))
		m.Shard.Add(m.IstioReceived, uint64(n))
		return
	}
	m.Shard.Add(m.UpstreamRx, uint64(n))
}

func (m *Meter) written(to Side, engine stats.Counter, n int) {
	m.Shard.Add(engine, uint64(n))
	if to == Downstream {
		m.Shard.Add(m.DownstreamTx, uint64(n))
		m.Shard.Add(m.IstioSent, uint64(n))
		return
	}
	m.Shard.Add(m.UpstreamTx, uint64(n))
}
