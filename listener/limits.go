package listener

import (
	"net/netip"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/listener/policy"
)

// Limits are the process's limits on downstream connections. They serve all
// loops, and lives as long as the process.
type Limits struct {
	// Sources limits the connections of each peer's address; nil: nothing
	// does. It is set before anything is admitted.
	Sources *policy.Sources

	max    atomic.Int64 // 0 = unlimited
	active atomic.Int64

	maxPending atomic.Int64 // connections in listener filters; 0 = unlimited
	pending    atomic.Int64
}

// SetMax changes the limit; connections above it stay.
func (l *Limits) SetMax(max int) { l.max.Store(int64(max)) }

// SetMaxPending changes the limit on connections in listener filters.
func (l *Limits) SetMaxPending(max int) { l.maxPending.Store(int64(max)) }

// TakePending takes a place among the connections in listener filters; false:
// there is none. ReleasePending gives it back.
func (l *Limits) TakePending() bool { return take(&l.pending, l.maxPending.Load()) }

// ReleasePending gives back what TakePending took.
func (l *Limits) ReleasePending() { l.pending.Add(-1) }

// Active is how many connections the process carries now.
func (l *Limits) Active() int64 { return l.active.Load() }

// admitFrom is admit with a place under the limit of the peer's address.
//
// Of what is full, the process is named first, then the listener. The source's
// place is taken before theirs, so that a flood from one source takes no place
// from others for as much as a moment.
func (l *Limits) admitFrom(peer netip.Addr, ln *Listener) (policy.SourcePlace, Refusal) {
	if l.Sources == nil {
		return policy.SourcePlace{}, l.admit(ln)
	}
	if full := l.full(ln); full != Admitted {
		return policy.SourcePlace{}, full
	}
	place, refused := l.Sources.Take(peer)
	if refused != policy.NotRefused {
		return policy.SourcePlace{}, SourceFull
	}
	if full := l.admit(ln); full != Admitted {
		place.Release()
		return policy.SourcePlace{}, full
	}
	return place, Admitted
}

// full says which limit is reached, without taking a place.
func (l *Limits) full(ln *Listener) Refusal {
	if max := l.max.Load(); max > 0 && l.active.Load() >= max {
		return ProcessFull
	}
	if max := int64(ln.Config.MaxConnections); max > 0 && ln.active.Load() >= max {
		return ListenerFull
	}
	return Admitted
}

// admit takes a place for a connection of ln, in the process and the listener.
// The sum over all loops never exceeds a limit, and a refusal keeps no place
// from others meanwhile.
func (l *Limits) admit(ln *Listener) Refusal {
	// The process's limit tells the reason where both are reached, as in Envoy,
	// but its place is taken last: a full listener would hold one for a moment.
	max := l.max.Load()
	if max > 0 && l.active.Load() >= max {
		return ProcessFull
	}
	if !take(ln.active, int64(ln.Config.MaxConnections)) {
		return ListenerFull
	}
	if !take(&l.active, max) {
		ln.active.Add(-1)
		return ProcessFull
	}
	return Admitted
}

// Adopt takes places for a connection of ln that lives already and came from
// another process, whatever the limits are: from its peer's address, too. Release
// and the place's own Release give them back.
func (l *Limits) Adopt(peer netip.Addr, ln *Listener) policy.SourcePlace {
	ln.active.Add(1)
	l.active.Add(1)
	if l.Sources == nil {
		return policy.SourcePlace{}
	}
	return l.Sources.Adopt(peer)
}

// Release gives back the place of an admitted connection.
func (l *Limits) Release(ln *Listener) {
	ln.active.Add(-1)
	l.active.Add(-1)
}

// take adds one, unless max is reached; 0 is no limit. Adding first and taking
// back after would let two loops refuse each other while a place is free.
func take(active *atomic.Int64, max int64) bool {
	for {
		n := active.Load()
		if max > 0 && n >= max {
			return false
		}
		if active.CompareAndSwap(n, n+1) {
			return true
		}
	}
}
