package relay

import (
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

func resetBy(side Side) End { return End{Cause: Reset, By: side, Errno: sock.ECONNRESET} }

// The other end sees every byte that came before the reset, then the reset.
func TestReset(t *testing.T) {
	type stage struct {
		name  string
		until func(r *rig, side Side) // what happens before the reset
		eof   bool                    // the other end has seen FIN before
	}
	stages := []stage{
		{"before any byte", func(*rig, Side) {}, false},
		{"with bytes the relay has not seen", func(r *rig, side Side) {
			r.write(side, 50_000)
			waitUnsent(r, side)
		}, false},
		{"with bytes both ways", func(r *rig, side Side) {
			r.write(side, 200_000)
			r.write(side.other(), 200_000)
			r.until("all bytes are through", func() bool {
				return r.relay.Written(Upstream) == 200_000 && r.relay.Written(Downstream) == 200_000
			})
			r.write(side, 1)
			waitUnsent(r, side)
		}, false},
		{"after its FIN", func(r *rig, side Side) {
			r.write(side, 1000)
			r.fin(side)
			r.readToEnd(side.other())
		}, true},
		{"right after its FIN", func(r *rig, side Side) {
			r.settled()
			r.write(side, 1000)
			r.fin(side)
			waitUnsent(r, side)
		}, false},
		{"after the other's FIN", func(r *rig, side Side) {
			r.fin(side.other())
			r.readToEnd(side)
			r.write(side, 1000)
			waitUnsent(r, side)
		}, false},
	}
	for _, s := range stages {
		t.Run(s.name, func(t *testing.T) {
			engines(t, func(t *testing.T, side Side, engine string) {
				r := newRig(t, rigOptions{engine: engine})
				peer := side.other()
				s.until(r, side)
				sent := r.ends[side].sent
				r.reset(side)
				r.readToEnd(peer)
				r.finish()
				if s.eof {
					_, errno := sock.Read(r.ends[peer].fd, make([]byte, 1))
					_, second := sock.Write(r.ends[peer].fd, make([]byte, 1))
					if errno != sock.ECONNRESET && second != sock.ECONNRESET && second != sock.EPIPE {
						t.Errorf("after FIN and RST: read %v, write %v", errno, second)
					}
					r.expectRead(peer, sent, 0)
				} else if r.ends[peer].errno == 0 && s.name == "right after its FIN" {
					r.expectRead(peer, sent, 0) // FIN was passed on first
				} else {
					r.expectRead(peer, sent, sock.ECONNRESET)
				}
				r.expectEnd(resetBy(side))
				r.expectMeters()
				r.expectPoolsEmpty()
			})
		})
	}
}

// waitUnsent waits until the relay's kernel has all that a side sent: from then
// on the relay can read it, reset or not. The relay takes no turns meanwhile.
func waitUnsent(r *rig, side Side) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); sock.Unsent(r.ends[side].fd) > 0; {
		if time.Now().After(deadline) {
			r.t.Fatalf("side %d: %d bytes are not acknowledged", side, sock.Unsent(r.ends[side].fd))
		}
	}
}

// With a reader that has stopped, bytes wait in every buffer when the writer
// resets. All that reached the relay's kernel gets to the reader in the end.
func TestResetBehindSlowReader(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine, buffers: 32 << 10})
		peer := side.other()
		r.fill(side)
		acknowledged := r.ends[side].sent - sock.Unsent(r.ends[side].fd)
		r.reset(side)
		r.settled()
		if r.status == Finished {
			t.Fatal("the reset overtook bytes")
		}
		if !r.relay.Rearm() {
			t.Error("a waiting reset must ask for the timer")
		}
		for r.status != Finished { // a slow reader is waited for as long as it takes some
			before := sock.Unsent(r.sockets[peer])
			r.until("bytes that make room for more", func() bool {
				r.read(peer, 4<<10)
				return sock.Unsent(r.sockets[peer]) != before || r.ends[peer].over
			})
			r.now += deliverTime * 9 / 10
			r.status = r.relay.OnTimer(r.now)
			r.turn(0)
		}
		r.readToEnd(peer)
		r.finish()
		if got := r.ends[peer].got; got < acknowledged {
			t.Errorf("the reader got %d bytes, the relay's kernel had %d", got, acknowledged)
		}
		if r.ends[peer].errno != sock.ECONNRESET {
			t.Errorf("then %q, want ECONNRESET", sock.Name(r.ends[peer].errno))
		}
		r.expectEnd(resetBy(side))
		r.expectPoolsEmpty()
	})
}

// A connection that was silent for long, then sends bytes and resets, gets them
// delivered like any other.
func TestResetAfterLongSilence(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine, buffers: 4 << 10})
		setBuffers(t, r.ends[side].fd, 512<<10)
		setBuffers(t, r.sockets[side], 512<<10)
		r.settled()
		r.now += int64(time.Hour)
		peer := side.other()
		for written := -1; written != 0; { // more than the reader's kernel takes
			written = r.write(side, 64<<10)
		}
		waitSteady(r, side)
		acknowledged := r.ends[side].sent - sock.Unsent(r.ends[side].fd)
		r.reset(side)
		r.settled()
		r.readToEnd(peer)
		if got := r.ends[peer].got; got < acknowledged || r.ends[peer].errno != sock.ECONNRESET {
			t.Errorf("%d bytes, then %q; want at least %d, then ECONNRESET", got, sock.Name(r.ends[peer].errno), acknowledged)
		}
		r.finish()
	})
}

// waitSteady waits until the kernel has moved what it can of a side's bytes.
func waitSteady(r *rig, side Side) {
	last, same := -1, 0
	for same < 1000 {
		if now := sock.Unsent(r.ends[side].fd); now == last {
			same++
		} else {
			last, same = now, 0
		}
	}
}

// A reader that never reads again gets the reset when the time for delivery is
// over, and not before.
func TestResetBehindStoppedReader(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine})
		r.fill(side)
		r.reset(side)
		r.settled()
		began := r.now
		for r.status != Finished {
			if !r.timer() {
				t.Fatal("nothing will ever end this relay")
			}
			if r.now-began > 2*deliverTime {
				t.Fatalf("still waiting after %v", time.Duration(r.now-began))
			}
		}
		if waited := r.now - began; waited < deliverTime {
			t.Errorf("the reset went out after %v, want %v", time.Duration(waited), time.Duration(deliverTime))
		}
		r.expectEnd(resetBy(side))
		r.readToEnd(side.other())
		if r.ends[side.other()].errno != sock.ECONNRESET {
			t.Errorf("the reader sees %q", sock.Name(r.ends[side.other()].errno))
		}
		r.expectPoolsEmpty()
	})
}

func TestBothReset(t *testing.T) {
	sides(t, func(t *testing.T, side Side) {
		r := newRig(t, rigOptions{buffers: 16 << 10})
		r.fill(side)
		r.fill(side.other())
		r.reset(side)
		r.reset(side.other())
		r.finish()
		if end := r.relay.End(); end.Cause != Reset || end.Errno != sock.ECONNRESET {
			t.Errorf("end %+v", end)
		}
		r.expectPoolsEmpty()
	})
}

// The relay learns of a reset by its own write, before any event tells.
func TestResetSeenByWrite(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine})
		r.settled()
		peer := side.other()
		r.write(peer, 100) // these must still arrive, though they are lost on peer
		waitUnsent(r, peer)
		r.reset(peer)
		waitFor(t, r.sockets[peer], 0x8) // POLLERR
		r.write(side, 1000)
		waitUnsent(r, side)
		r.relay.Note(side, sock.Readable)
		r.move(side)
		r.readToEnd(side)
		r.finish()
		r.expectRead(side, 100, sock.ECONNRESET)
		r.expectEnd(resetBy(peer))
		r.expectMeters()
		r.expectPoolsEmpty()
	})
}

// A reader that closes with bytes unread resets; the writer learns.
func TestCloseWithUnreadBytes(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine})
		r.fill(side)
		sock.Close(r.ends[side.other()].fd)
		r.ends[side.other()].closed = true
		r.readToEnd(side)
		r.finish()
		r.expectRead(side, 0, sock.ECONNRESET)
		r.expectEnd(resetBy(side.other()))
		r.expectPoolsEmpty()
	})
}
