package relay

import (
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

const (
	// deliverTime bounds how long a reset waits for a reader that has stopped
	// taking the bytes before it. One that still takes some is waited for.
	deliverTime = int64(10 * time.Second)

	// The kernel reports no event when a peer has acknowledged everything; a
	// reset that waits for it asks at these intervals, doubling.
	firstProbe = int64(time.Millisecond)
	lastProbe  = int64(64 * time.Millisecond)
)

// Relay moves the bytes of one connection. The zero Relay is ready for Start.
type Relay struct {
	sockets  Sockets
	flows    [2]flow // by the side that the bytes come from
	shared   *Shared
	meter    *Meter
	timeouts *Timeouts

	began    int64 // loop time; of accept, as Timeouts.Duration counts
	now      int64 // of the turn that is going on
	lastByte int64 // when a byte or a FIN last moved

	end          End
	kept         bool    // see Keep
	failed       [2]bool // by side: its socket is of no more use
	rearm        bool    // Next has come closer
	probe        int64   // from one look whether a reset may go out to the next; 0: none waits
	deliverUntil int64   // the reset goes out then, unless more has arrived; 0: not looked yet
	arrived      int64   // bytes before the reset that the reader had acknowledged at the last look
}

// Start takes over two connected sockets and owns them until Finished. Both
// count as writable and not readable; Note says otherwise. began and now are
// times of the loop's clock.
func (r *Relay) Start(sockets Sockets, shared *Shared, meter *Meter, timeouts *Timeouts, began, now int64) {
	*r = Relay{sockets: sockets, shared: shared, meter: meter, timeouts: timeouts, began: began, now: now, lastByte: now}
	r.flows[Downstream].writable = true
	r.flows[Upstream].writable = true
}

// Note remembers what epoll reported for a side's socket.
func (r *Relay) Note(side Side, events uint32) {
	from, to := &r.flows[side], &r.flows[side.other()]
	if events&(sock.Readable|sock.Urgent|sock.PeerShut|sock.Hangup|sock.Failed) != 0 && !from.ended {
		from.readable = true
	}
	if events&(sock.PeerShut|sock.Hangup|sock.Urgent) != 0 {
		from.behind = true
	}
	if events&(sock.Writable|sock.Hangup|sock.Failed) != 0 {
		to.writable = true
	}
	if events&sock.Failed != 0 {
		r.fail(side, sock.TakeError(r.sockets[side]))
	}
}

// Move moves what can be moved now, the flow from first before the other.
func (r *Relay) Move(first Side, now int64) Status {
	r.now = now
	more := r.move(first)
	more = r.move(first.other()) || more
	if more {
		return Again
	}
	return r.settle()
}

// settle finishes a relay whose ends have come.
func (r *Relay) settle() Status {
	switch {
	case r.failed[Downstream]:
		return r.settleReset(Downstream)
	case r.failed[Upstream]:
		return r.settleReset(Upstream)
	case r.flows[Downstream].finSent && r.flows[Upstream].finSent:
		r.close(byFin)
		return Finished
	}
	return Waiting
}

// settleReset passes the reset of one side on to the other, once the bytes that
// came before it are delivered: closing with RST throws away what the socket
// has not sent.
func (r *Relay) settleReset(side Side) Status {
	if !r.failed[side.other()] && !r.delivered(side) {
		return Waiting
	}
	r.close(byReset) // of the failed one nothing is left to reset
	return Finished
}

// delivered says whether all bytes from a failed side have arrived at the other,
// or none has for so long that no more will.
func (r *Relay) delivered(from Side) bool {
	f := &r.flows[from]
	unsent := sock.Unsent(r.sockets[from.other()])
	if f.ended && !f.waiting() && unsent == 0 {
		return true
	}
	arrived := int64(f.written) - int64(unsent)
	if r.deliverUntil == 0 || arrived > r.arrived {
		r.arrived, r.deliverUntil = arrived, r.now+deliverTime
	}
	return r.now >= r.deliverUntil
}

// ended notes the FIN of a side.
func (r *Relay) ended(side Side) {
	r.rearm = true
	r.lastByte = r.now
	if r.end.Cause == Open && !r.failed[side] {
		r.end = End{Cause: Fin, By: side}
	}
}

// fail notes that a side's socket is of no more use. What it had sent before is
// still read and delivered; what was on the way to it is lost.
func (r *Relay) fail(side Side, errno sock.Errno) {
	if r.failed[side] {
		return
	}
	if !r.failed[side.other()] {
		r.end = failure(side, errno)
		r.probe = firstProbe
	}
	r.failed[side] = true
	r.rearm = true
	lost := &r.flows[side.other()]
	lost.dead = true
	r.dropSpill(lost)
	r.dropPipe(lost)
	if from := &r.flows[side]; !from.ended {
		from.readable = true
	}
}

// failure names what happened. After a reset only the first call on a socket
// says ECONNRESET: later ones say EPIPE, ENOTCONN or nothing.
func failure(side Side, errno sock.Errno) End {
	switch errno {
	case 0, sock.EPIPE, sock.ENOTCONN, sock.ECONNRESET:
		return End{Cause: Reset, By: side, Errno: sock.ECONNRESET}
	}
	return End{Cause: Error, By: side, Errno: errno}
}

// Rearm says, once, that Next may have come closer than it was.
func (r *Relay) Rearm() bool {
	rearm := r.rearm
	r.rearm = false
	return rearm
}

// Next is the loop time at which OnTimer is wanted; false: never.
func (r *Relay) Next(now int64) (at int64, ok bool) {
	if r.probe != 0 {
		return now + r.probe, true
	}
	sooner := func(from int64, d time.Duration) {
		if d > 0 && (!ok || from+int64(d) < at) {
			at, ok = from+int64(d), true
		}
	}
	sooner(r.lastByte, r.timeouts.Idle)
	sooner(r.began, r.timeouts.Duration)
	if r.halfClosed() {
		sooner(r.lastByte, r.timeouts.HalfClose)
	}
	return at, ok
}

func (r *Relay) halfClosed() bool { return r.flows[Downstream].ended || r.flows[Upstream].ended }

// OnTimer ends the relay if one of its times is over.
func (r *Relay) OnTimer(now int64) Status {
	r.now = now
	over := func(from int64, d time.Duration) bool { return d > 0 && now >= from+int64(d) }
	switch {
	case r.probe != 0:
		r.probe = min(2*r.probe, lastProbe)
		return r.settle()
	case over(r.began, r.timeouts.Duration):
		r.Close(MaxDuration)
	case r.halfClosed() && over(r.lastByte, r.timeouts.HalfClose):
		r.Close(HalfCloseTimeout)
	case over(r.lastByte, r.timeouts.Idle):
		r.Close(IdleTimeout)
	default:
		return Waiting
	}
	return Finished
}

// Close ends an unfinished relay for the proxy's own reason. Peers see FIN, or
// RST where bytes from or for them are dropped: FIN would call those whole.
func (r *Relay) Close(cause Cause) {
	r.end = End{Cause: cause}
	r.close(byFin)
}

// Reset ends an unfinished relay for the proxy's own reason with RST to both.
func (r *Relay) Reset() {
	r.end = End{Cause: Stopped}
	r.close(byReset)
}

// close ends both sockets, the reader of dropped bytes always by reset, and gives
// back what the flows have borrowed. The relay forgets the descriptors: their
// numbers may belong to others a moment later.
func (r *Relay) close(how parting) {
	for side, fd := range r.sockets {
		if r.flows[Side(side).other()].waiting() {
			r.part(fd, byReset)
		} else {
			r.part(fd, how)
		}
		r.sockets[side] = -1
	}
	for side := range r.flows {
		r.dropPipe(&r.flows[side])
		r.dropSpill(&r.flows[side])
	}
}

// End is who ended the relay, and how; Cause Open while it lives.
func (r *Relay) End() End { return r.end }

// Read is how many bytes were taken from a side so far.
func (r *Relay) Read(from Side) uint64 { return r.flows[from].read }

// Written is how many bytes were given to a side so far.
func (r *Relay) Written(to Side) uint64 { return r.flows[to.other()].written }

// LastByte is the loop time at which a byte or a FIN last moved.
func (r *Relay) LastByte() int64 { return r.lastByte }

// Engine is splice when any byte went that way, copy when bytes moved
// otherwise, and empty when none did.
func (r *Relay) Engine() string {
	down, up := &r.flows[Downstream], &r.flows[Upstream]
	switch {
	case down.spliced || up.spliced:
		return "splice"
	case down.written+up.written > 0:
		return "copy"
	}
	return ""
}
