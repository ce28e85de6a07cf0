package relay

import (
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// handOver gives the relay's sockets to another relay, by a State; false: it was
// declined.
func (r *rig) handOver() (State, bool) {
	r.t.Helper()
	engine, began := r.relay.flows[Downstream].noSplice, r.relay.began
	state, ok := r.relay.Detach()
	if !ok {
		return state, false
	}
	if !state.Valid() {
		r.t.Fatalf("a relay was detached as %+v", state.Flows)
	}
	r.expectHoldsNothing()
	told := state
	for _, fd := range r.sockets {
		if errno := r.epoll.Remove(fd); errno != 0 {
			r.t.Fatal(errno)
		}
	}
	r.relay = Relay{}
	r.relay.Start(r.sockets, r.shared, &r.meter, &r.timeouts, began, r.now)
	r.relay.Resume(&state)
	for side, fd := range r.sockets {
		r.relay.flows[side].noSplice = engine
		if errno := r.epoll.Add(fd, interest, uint64(side)); errno != 0 {
			r.t.Fatal(errno)
		}
	}
	r.move(Downstream)
	return told, true
}

// A stream in both directions is handed over again and again on its way.
func TestHandOverMidStream(t *testing.T) {
	for _, engine := range []string{"copy", "splice", ""} {
		t.Run(engine, func(t *testing.T) {
			const n = 200 << 20
			r := newRig(t, rigOptions{engine: engine})
			down, up := r.send(Downstream, n), r.send(Upstream, n)
			atUp, atDown := r.receive(Upstream), r.receive(Downstream)
			times, waited := 0, 0
			for r.status != Finished {
				r.turn(1000)
				if r.status == Finished {
					continue
				}
				state, ok := r.handOver()
				if !ok {
					t.Fatalf("declined: %s", r)
				}
				times++
				waited += len(state.Flows[Downstream].Waiting) + len(state.Flows[Upstream].Waiting)
			}
			expectSame(t, "downstream to upstream", <-down, <-atUp)
			expectSame(t, "upstream to downstream", <-up, <-atDown)
			r.expectMeters()
			r.expectPoolsEmpty()
			if r.relay.End().Cause != Fin {
				t.Errorf("end %+v", r.relay.End())
			}
			if engine != "" && r.relay.Engine() != engine {
				t.Errorf("engine %q", r.relay.Engine())
			}
			if times < 100 {
				t.Errorf("handed over %d times, want 100 or more", times)
			}
			t.Logf("handed over %d times, with %d bytes that waited", times, waited)
		})
	}
}

// Bytes that wait for a slow reader go along, in order, and the FIN behind them.
func TestHandOverWithBytesWaiting(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine, buffers: 64 << 10})
		peer := side.other()
		r.fill(side)
		r.fin(side)
		for i := range 100 {
			state, ok := r.handOver()
			if !ok || i == 0 && len(state.Flows[side].Waiting) == 0 {
				t.Fatalf("handed over: %v, with %d bytes that wait", ok, len(state.Flows[side].Waiting))
			}
			r.read(peer, 1<<10)
		}
		r.readToEnd(peer)
		r.expectRead(peer, r.ends[side].sent, 0)
		r.write(peer, 3000)
		r.fin(peer)
		r.readToEnd(side)
		r.expectRead(side, 3000, 0)
		r.finish()
		r.expectEnd(End{Cause: Fin, By: side})
		r.expectMeters()
		r.expectHoldsNothing()
	})
}

// A FIN is passed on once, before or after, and who was first is remembered.
func TestHandOverHalfClosed(t *testing.T) {
	stages := []struct {
		name  string
		until func(r *rig, side Side)
		flow  FlowState // of the side that has sent FIN
	}{
		{"FIN not seen yet", func(r *rig, side Side) { r.settled(); r.fin(side); waitUnsent(r, side) }, FlowState{}},
		{"FIN passed on", func(r *rig, side Side) { r.fin(side); r.readToEnd(side.other()) }, FlowState{Ended: true, FinSent: true}},
	}
	for _, s := range stages {
		t.Run(s.name, func(t *testing.T) {
			engines(t, func(t *testing.T, side Side, engine string) {
				r := newRig(t, rigOptions{engine: engine, buffers: 16 << 10})
				peer := side.other()
				s.until(r, side)
				state, ok := r.handOver()
				if f := state.Flows[side]; !ok || f.Ended != s.flow.Ended || f.FinSent != s.flow.FinSent {
					t.Fatalf("handed over: %v, ended %v, FIN sent %v", ok, f.Ended, f.FinSent)
				}
				r.fin(peer)
				r.readToEnd(peer)
				r.expectRead(peer, r.ends[side].sent, 0)
				r.readToEnd(side)
				r.expectRead(side, 0, 0)
				r.finish()
				r.expectEnd(End{Cause: Fin, By: side})
				r.expectMeters()
			})
		})
	}
}

// A FIN that another owner has received and not passed on yet goes out behind the
// bytes before it; so it does when both sides have sent one.
func TestResumeWithFINBehindBytes(t *testing.T) {
	sides(t, func(t *testing.T, side Side) {
		for _, both := range []bool{false, true} {
			r := newRig(t, rigOptions{})
			peer := side.other()
			r.write(side, 1000)
			r.fin(side)
			waitUnsent(r, side)
			state, _ := r.relay.Detach()
			f := &state.Flows[side]
			*f = FlowState{Read: 1000, Waiting: make([]byte, 1000), Ended: true}
			if n, errno := sock.Read(r.sockets[side], f.Waiting); n != 1000 {
				t.Fatalf("read %d bytes, %v", n, errno)
			}
			r.relay.Start(r.sockets, r.shared, &r.meter, &r.timeouts, r.now, r.now)
			if both {
				r.fin(peer)
				sock.CloseWrite(r.sockets[side])
				state.Flows[peer] = FlowState{Ended: true, FinSent: true}
			}
			r.relay.Resume(&state)
			r.move(side)
			r.readToEnd(peer)
			r.expectRead(peer, 1000, 0)
			if !both {
				r.fin(peer)
			}
			r.readToEnd(side)
			r.finish()
			first := side
			if both {
				first = peer
			}
			r.expectEnd(End{Cause: Fin, By: first})
		}
	})
}

// RST does what it did, whether it comes before the relay has heard of it or
// after.
func TestHandOverThenReset(t *testing.T) {
	for _, when := range []string{"unheard", "after"} {
		t.Run(when, func(t *testing.T) {
			engines(t, func(t *testing.T, side Side, engine string) {
				r := newRig(t, rigOptions{engine: engine})
				peer := side.other()
				r.settled()
				r.write(side, 50_000)
				waitUnsent(r, side)
				if when == "unheard" {
					r.reset(side)
				}
				if _, ok := r.handOver(); !ok {
					t.Fatal("declined")
				}
				if when == "after" {
					r.reset(side)
				}
				r.readToEnd(peer)
				r.finish()
				r.expectRead(peer, 50_000, sock.ECONNRESET)
				r.expectEnd(resetBy(side))
				r.expectMeters()
				r.expectPoolsEmpty()
			})
		})
	}
}

// A reset that waits for a slow reader stays where it is, and arrives behind
// every byte.
func TestDetachDeclines(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine, buffers: 32 << 10})
		peer := side.other()
		r.fill(side)
		acknowledged := r.ends[side].sent - sock.Unsent(r.ends[side].fd)
		r.reset(side)
		r.settled()
		if _, ok := r.handOver(); ok {
			t.Fatal("a reset that waits was handed over")
		}
		r.readToEnd(peer)
		r.finish()
		if e := r.ends[peer]; e.got < acknowledged || e.errno != sock.ECONNRESET {
			t.Errorf("%d of %d bytes arrived, then %q", e.got, acknowledged, sock.Name(e.errno))
		}
		r.expectEnd(resetBy(side))
		if _, ok := r.relay.Detach(); ok {
			t.Error("a relay that has ended was detached")
		}
	})
}

// Times go on with what is left of them.
func TestHandOverKeepsTimes(t *testing.T) {
	limits := Timeouts{Idle: 20 * time.Second, HalfClose: 5 * time.Second, Duration: time.Minute}
	for _, tc := range []struct {
		name  string
		limit Timeouts
		until func(r *rig)
		left  float64 // seconds after began
		cause Cause
	}{
		{"idle", Timeouts{Idle: limits.Idle}, func(r *rig) {}, 23, IdleTimeout},
		{"half closed", limits, func(r *rig) { r.fin(Upstream); r.readToEnd(Downstream) }, 8, HalfCloseTimeout},
		{"duration", Timeouts{Duration: limits.Duration}, func(r *rig) {}, 60, MaxDuration},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{timeouts: tc.limit})
			began := r.now
			r.now += 3 * second
			r.write(Downstream, 1)
			r.until("a byte", func() bool { return r.read(Upstream, 1) == 1 })
			tc.until(r)
			r.now += second
			if _, ok := r.handOver(); !ok {
				t.Fatal("declined")
			}
			expectNext(r, began, tc.left)
			r.now = began + int64(tc.left*float64(second))
			r.expectTimeout(tc.cause)
		})
	}
}

func TestStateValid(t *testing.T) {
	cases := []struct {
		name     string
		down, up FlowState
		valid    bool
	}{
		{"nothing", FlowState{}, FlowState{}, true},
		{"bytes wait", FlowState{Read: 5, Written: 3, Waiting: make([]byte, 2)}, FlowState{}, true},
		{"a byte is missing", FlowState{Read: 5, Written: 3, Waiting: make([]byte, 1)}, FlowState{}, false},
		{"a byte too many", FlowState{}, FlowState{Read: 5, Written: 5, Waiting: make([]byte, 1)}, false},
		{"more written than read", FlowState{Read: 5, Written: 6}, FlowState{}, false},
		{"half closed", FlowState{Ended: true, FinSent: true}, FlowState{}, true},
		{"FIN before bytes", FlowState{Read: 1, Waiting: make([]byte, 1), Ended: true, FinSent: true}, FlowState{}, false},
		{"a FIN of nobody", FlowState{FinSent: true}, FlowState{}, false},
		{"over", FlowState{Ended: true, FinSent: true}, FlowState{Ended: true, FinSent: true}, false},
	}
	for _, tc := range cases {
		s := State{Flows: [2]FlowState{tc.down, tc.up}}
		if got := s.Valid(); got != tc.valid {
			t.Errorf("%s: valid %v, want %v", tc.name, got, tc.valid)
		}
	}
}
