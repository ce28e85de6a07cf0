package relay

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// sides runs a test for each side as the one that acts.
func sides(t *testing.T, test func(t *testing.T, side Side)) {
	for side, name := range []string{"downstream", "upstream"} {
		t.Run(name, func(t *testing.T) { test(t, Side(side)) })
	}
}

// engines runs a test for each side and engine.
func engines(t *testing.T, test func(t *testing.T, side Side, engine string)) {
	for _, engine := range []string{"copy", "splice"} {
		t.Run(engine, func(t *testing.T) {
			sides(t, func(t *testing.T, side Side) { test(t, side, engine) })
		})
	}
}

func TestFin(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine})
		peer := side.other()
		r.write(side, 1000)
		r.fin(side)
		r.readToEnd(peer)
		r.expectRead(peer, 1000, 0)
		if r.status == Finished {
			t.Fatal("one FIN ended the whole relay")
		}
		if !r.relay.Rearm() || r.relay.Rearm() {
			t.Error("a FIN must ask, once, for the timer to be set anew")
		}
		r.expectHoldsNothing()
		r.write(peer, 70_000)
		r.fin(peer)
		r.readToEnd(side)
		r.expectRead(side, 70_000, 0)
		r.finish()
		r.expectEnd(End{Cause: Fin, By: side})
		r.expectMeters()
		if got := r.relay.Engine(); got != engine {
			t.Errorf("engine %q, want %q", got, engine)
		}
	})
}

func TestFinWithoutAByte(t *testing.T) {
	sides(t, func(t *testing.T, side Side) {
		r := newRig(t, rigOptions{})
		r.fin(side)
		r.readToEnd(side.other())
		r.fin(side.other())
		r.readToEnd(side)
		r.expectRead(Downstream, 0, 0)
		r.expectRead(Upstream, 0, 0)
		r.finish()
		r.expectEnd(End{Cause: Fin, By: side})
		if r.relay.Engine() != "" {
			t.Errorf("engine %q without a byte", r.relay.Engine())
		}
		r.expectMeters()
	})
}

// Everything has happened before the relay hears of anything: data, FIN and
// hang-up are in one event, and none is lost.
func TestDataFinAndHangupInOneEvent(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine})
		peer := side.other()
		r.fin(peer)
		r.readToEnd(side) // the relay has sent FIN to side
		r.write(side, 3*bufferSize+17)
		r.fin(side)
		sock.Close(r.ends[side].fd)
		r.ends[side].closed = true
		r.relay.Note(side, sock.Readable|sock.PeerShut|sock.Hangup)
		r.move(side)
		r.readToEnd(peer)
		r.expectRead(peer, 3*bufferSize+17, 0)
		r.finish()
		r.expectEnd(End{Cause: Fin, By: peer})
	})
}

// A short read does not hide a FIN, whether it came with the bytes or right
// after epoll had reported them.
func TestFinAroundAShortRead(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		for name, fin := range map[string]func(r *rig){
			"before the event": func(r *rig) { r.fin(side) },
			"after the event":  func(r *rig) { r.relay.Note(side, sock.Readable); r.fin(side) },
			"after the read": func(r *rig) {
				r.relay.Note(side, sock.Readable)
				r.move(side)
				r.fin(side)
			},
		} {
			r := newRig(t, rigOptions{engine: engine})
			r.settled() // the first edges are gone
			r.write(side, 10)
			fin(r)
			r.readToEnd(side.other())
			r.expectRead(side.other(), 10, 0)
			if t.Failed() {
				t.Fatalf("FIN %s", name)
			}
		}
	})
}

// FIN never overtakes bytes that wait in a spill or pipe.
func TestFinWaitsForBytes(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine, buffers: 8 << 10})
		r.fill(side)
		r.fin(side)
		r.settled()
		f := &r.relay.flows[side]
		if f.finSent {
			t.Fatal("FIN was sent while bytes wait")
		}
		if !f.waiting() {
			t.Fatal("nothing waits: the test does not test what it should")
		}
		r.readToEnd(side.other())
		r.expectRead(side.other(), r.ends[side].sent, 0)
		r.expectHoldsNothing()
	})
}

// Urgent data makes reads stop short at its mark although more bytes wait
// behind it (tcp(7)). The urgent byte itself is out of band and not relayed.
func TestUrgentDataDoesNotStall(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine})
		for i := range 3 {
			r.settled()
			r.write(side, 100)
			if err := unix.Send(r.ends[side].fd, []byte("!"), unix.MSG_OOB); err != nil {
				t.Fatal(err)
			}
			r.write(side, 100)
			r.until("the bytes behind the urgent one", func() bool {
				r.read(side.other(), 1000)
				return r.ends[side.other()].got == 200*(i+1)
			})
		}
		r.fin(side)
		r.readToEnd(side.other())
		r.expectRead(side.other(), 600, 0)
	})
}
