package policy

import (
	"fmt"
	"sync/atomic"
)

// ConnectionLimit bounds the live connections of a filter chain, as Envoy's
// connection_limit filter. It serves all loops.
type ConnectionLimit struct {
	max    int64
	active *atomic.Int64 // shared with the limits that were joined
}

// NewConnectionLimit makes a limit of max connections, at least 1.
func NewConnectionLimit(max int) (*ConnectionLimit, error) {
	if max < 1 {
		return nil, fmt.Errorf("max_connections: %d would refuse every connection; at least 1, or leave connection_limit out", max)
	}
	return &ConnectionLimit{max: int64(max), active: new(atomic.Int64)}, nil
}

// Join has the limit count the connections of another, and the other one its own:
// what a chain becomes in a reload takes over what it has, above its maximum too.
// Before the first Take only. The other one keeps its maximum.
func (l *ConnectionLimit) Join(other *ConnectionLimit) { l.active = other.active }

// Active is how many places are taken, under this limit and those joined.
func (l *ConnectionLimit) Active() int64 { return l.active.Load() }

// Take takes a place, unless all are taken.
func (l *ConnectionLimit) Take() (Place, bool) {
	// Adding first and taking back after would let two loops refuse each other
	// while a place is free.
	for {
		n := l.active.Load()
		if n >= l.max {
			return Place{}, false
		}
		if l.active.CompareAndSwap(n, n+1) {
			return Place{l.active}, true
		}
	}
}

// Adopt takes a place for a connection that lives already, whatever the limit is.
func (l *ConnectionLimit) Adopt() Place {
	l.active.Add(1)
	return Place{l.active}
}

// Place is a connection's place under a ConnectionLimit, owned by the
// connection: it must not be copied while it is taken. The zero Place is none.
type Place struct{ among *atomic.Int64 }

// Release gives the place back; after that, and for the zero Place, it does
// nothing.
func (p *Place) Release() {
	if p.among != nil {
		p.among.Add(-1)
		p.among = nil
	}
}
