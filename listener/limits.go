package listener

import "sync/atomic"

// Limits is the process's limit on live downstream connections. It serves all
// loops, and lives as long as the process.
type Limits struct {
	max    atomic.Int64 // 0 = unlimited
	active atomic.Int64
}

// SetMax changes the limit; connections above it stay.
func (l *Limits) SetMax(max int) { l.max.Store(int64(max)) }

// Active is how many connections the process carries now.
func (l *Limits) Active() int64 { return l.active.Load() }

// admit takes a place for a connection of ln, in the process and the listener.
// The sum over all loops never exceeds a limit.
func (l *Limits) admit(ln *Listener) Refusal {
	if !take(&l.active, l.max.Load()) {
		return ProcessFull
	}
	if !take(&ln.active, int64(ln.Config.MaxConnections)) {
		l.active.Add(-1)
		return ListenerFull
	}
	return Admitted
}

// Release gives back the place of an admitted connection.
func (l *Limits) Release(ln *Listener) {
	ln.active.Add(-1)
	l.active.Add(-1)
}

func take(active *atomic.Int64, max int64) bool {
	if active.Add(1) > max && max > 0 {
		active.Add(-1)
		return false
	}
	return true
}
