package listener

import (
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

const (
	// maxBacklog bounds what acceptAll accepts, should clients keep coming.
	maxBacklog = 64 << 10

	// lingerTime is how long a socket that is to be closed still accepts:
	// handshakes that have begun end within a round trip.
	lingerTime = 200 * time.Millisecond
)

// Finish closes the socket and loses nobody whom the kernel has let in: it would reset
// what it finds in the queue, and handshakes that have not ended. So it lets nobody in
// from now on (sock.Deafen), and what has come is accepted for lingerTime. A socket that
// another process has too is closed at once: the other one goes on, and so does the
// queue.
func (a *Acceptor) Finish() {
	switch {
	case a.fd < 0 || a.ending:
	case a.watch == 0 || a.shared || sock.Deafen(a.fd) != 0:
		a.FinishNow()
	default:
		a.ending = true
		a.loop.StartTimer(&a.end, lingerTime, lingering{a})
	}
}

// FinishNow is Finish, but waits for nothing.
func (a *Acceptor) FinishNow() {
	a.acceptAll()
	a.Close()
}

// acceptAll accepts what waits in the socket's queue.
func (a *Acceptor) acceptAll() {
	for range maxBacklog / burst {
		if a.fd < 0 || !a.accept(burst) {
			break
		}
	}
}

// Finished says whether the socket is closed, and every connection that came by it has
// been admitted or refused.
func (a *Acceptor) Finished() bool { return a.fd < 0 && a.undecided == 0 }

// lingering is an acceptor that waits for handshakes.
type lingering struct{ *Acceptor }

// OnTimer ends the wait.
func (l lingering) OnTimer() { l.FinishNow() }

// OnPanic closes the socket all the same: drains wait for it.
func (l lingering) OnPanic(value any, stack []byte) {
	l.Acceptor.OnPanic(value, stack)
	l.Close()
}
