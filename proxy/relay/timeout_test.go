package relay

import (
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

const second = int64(time.Second)

// next checks when the relay wants its timer, as seconds after began.
func expectNext(r *rig, began int64, want float64) {
	r.t.Helper()
	at, ok := r.relay.Next(r.now)
	if got := float64(at-began) / float64(second); !ok || got != want {
		r.t.Errorf("timer wanted after %v s (%v), want %v s", got, ok, want)
	}
}

func (r *rig) expectAlive() {
	r.t.Helper()
	if r.status = r.relay.OnTimer(r.now); r.status != Waiting {
		r.t.Fatalf("status %d, end %+v; the relay should live", r.status, r.relay.End())
	}
}

func (r *rig) expectTimeout(want Cause) {
	r.t.Helper()
	r.now--
	r.expectAlive()
	r.now++
	r.status = r.relay.OnTimer(r.now)
	r.expectEnd(End{Cause: want})
	r.readToEnd(Downstream)
	r.readToEnd(Upstream)
	for side := range r.ends {
		if r.ends[side].errno != 0 {
			r.t.Errorf("side %d sees %v, want FIN", side, r.ends[side].errno)
		}
	}
}

func TestNoTimeouts(t *testing.T) {
	r := newRig(t, rigOptions{})
	if at, ok := r.relay.Next(r.now); ok {
		t.Errorf("timer wanted at %d without timeouts", at)
	}
	r.now += int64(10000 * time.Hour)
	r.expectAlive()
}

func TestIdleTimeout(t *testing.T) {
	sides(t, func(t *testing.T, side Side) {
		r := newRig(t, rigOptions{timeouts: Timeouts{Idle: 10 * time.Second}})
		began := r.now
		expectNext(r, began, 10)
		r.now += 9 * second
		r.write(side, 1)
		r.until("a byte", func() bool { return r.read(side.other(), 1) == 1 })
		if r.relay.LastByte() != r.now {
			t.Errorf("last byte at %d, want %d", r.relay.LastByte(), r.now)
		}
		expectNext(r, began, 19)
		r.now = began + 10*second
		r.expectAlive()
		r.now = began + 19*second
		r.expectTimeout(IdleTimeout)
	})
}

// Bytes that leave a full buffer at last are movement, too.
func TestIdleTimeoutCountsDelivery(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine, buffers: 16 << 10, timeouts: Timeouts{Idle: 10 * time.Second}})
		r.fill(side)
		r.now += 9 * second
		written := r.relay.Written(side.other())
		r.until("a byte given", func() bool {
			r.read(side.other(), 1<<10)
			return r.relay.Written(side.other()) > written
		})
		r.now += 2 * second
		r.expectAlive()
	})
}

func TestHalfCloseTimeout(t *testing.T) {
	sides(t, func(t *testing.T, side Side) {
		r := newRig(t, rigOptions{timeouts: Timeouts{HalfClose: 5 * time.Second}})
		if _, ok := r.relay.Next(r.now); ok {
			t.Error("the half-close timeout runs before any FIN")
		}
		r.now += 3600 * second // long silence before the FIN does not count
		began := r.now
		r.fin(side)
		r.readToEnd(side.other())
		expectNext(r, began, 5)
		r.now = began + 4*second
		r.write(side.other(), 1)
		r.until("a byte", func() bool { return r.read(side, 1) == 1 })
		r.now = began + 5*second
		r.expectAlive()
		expectNext(r, began, 9)
		r.now = began + 9*second
		r.expectTimeout(HalfCloseTimeout)
	})
}

func TestMaxDuration(t *testing.T) {
	r := newRig(t, rigOptions{timeouts: Timeouts{Duration: 60 * time.Second, Idle: 50 * time.Second, HalfClose: 55 * time.Second}})
	began := r.now
	expectNext(r, began, 50)
	r.now += 40 * second
	r.write(Downstream, 1)
	r.until("a byte", func() bool { return r.read(Upstream, 1) == 1 })
	expectNext(r, began, 60)
	r.fin(Downstream)
	r.readToEnd(Upstream)
	expectNext(r, began, 60)
	r.now = began + 60*second
	r.expectTimeout(MaxDuration)
}

// Start's began is that of accept, before the relay.
func TestMaxDurationCountsFromAccept(t *testing.T) {
	r := newRig(t, rigOptions{timeouts: Timeouts{Duration: 60 * time.Second}})
	began := r.now - 20*second
	r.relay.Start(r.sockets, r.shared, &r.meter, &r.timeouts, began, r.now)
	expectNext(r, began, 60)
}

func TestClose(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine})
		r.fill(side) // a pipe or spill holds bytes
		r.relay.Close(Stopped)
		r.status = Finished
		r.expectEnd(End{Cause: Stopped})
		r.readToEnd(side)
		if errno := r.ends[side].errno; errno != sock.ECONNRESET {
			t.Errorf("the writer of unread bytes sees %v, want ECONNRESET", errno)
		}
		r.readToEnd(side.other())
		if errno := r.ends[side.other()].errno; errno != sock.ECONNRESET {
			t.Errorf("the reader of bytes that were dropped sees %v, want ECONNRESET: FIN would call them whole", errno)
		}
		r.expectPoolsEmpty()
		r.expectMeters()
	})
}

func TestRelayReset(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine})
		r.write(side, 100_000)
		r.settled()
		r.relay.Reset()
		r.status = Finished
		r.expectEnd(End{Cause: Stopped})
		for side := range r.ends {
			r.readToEnd(Side(side))
			if errno := r.ends[side].errno; errno != sock.ECONNRESET {
				t.Errorf("side %d sees %v, want ECONNRESET", side, errno)
			}
		}
		r.expectPoolsEmpty()
	})
}
