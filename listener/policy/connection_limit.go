package policy

import (
	"fmt"
	"sync/atomic"
)

// ConnectionLimit bounds the live connections of a filter chain, as Envoy's
// connection_limit filter. It serves all loops. A reload that keeps the chain
// keeps its ConnectionLimit, or connections from before would not count.
type ConnectionLimit struct {
	max    atomic.Int64
	active atomic.Int64
}

// NewConnectionLimit makes a limit of max connections, at least 1.
func NewConnectionLimit(max int) (*ConnectionLimit, error) {
	if max < 1 {
		return nil, fmt.Errorf("max_connections: %d would refuse every connection; at least 1, or leave connection_limit out", max)
	}
	l := &ConnectionLimit{}
	l.max.Store(int64(max))
	return l, nil
}

// SetMax changes the limit to max, which must be at least 1; connections
// above it stay.
func (l *ConnectionLimit) SetMax(max int) { l.max.Store(int64(max)) }

// Active is how many places are taken.
func (l *ConnectionLimit) Active() int64 { return l.active.Load() }

// Take takes a place, unless all are taken.
func (l *ConnectionLimit) Take() (Place, bool) {
	// Adding first and taking back after would let two loops refuse each other
	// while a place is free.
	for {
		n := l.active.Load()
		if n >= l.max.Load() {
			return Place{}, false
		}
		if l.active.CompareAndSwap(n, n+1) {
			return Place{l}, true
		}
	}
}

// Adopt takes a place for a connection that lives already, whatever the limit is.
func (l *ConnectionLimit) Adopt() Place {
	l.active.Add(1)
	return Place{l}
}

// Place is a connection's place under a ConnectionLimit, owned by the
// connection: it must not be copied while it is taken. The zero Place is none.
type Place struct{ of *ConnectionLimit }

// Release gives the place back; after that, and for the zero Place, it does
// nothing.
func (p *Place) Release() {
	if p.of != nil {
		p.of.active.Add(-1)
		p.of = nil
	}
}
