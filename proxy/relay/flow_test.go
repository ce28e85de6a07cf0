package relay

import (
	"testing"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// Messages go back and forth; sustained flows are spliced, short ones copied.
func TestMessages(t *testing.T) {
	type messageCase struct {
		name   string
		size   int
		rounds int
	}
	for _, c := range []messageCase{{"1 B", 1, 500}, {"1 KiB", 1 << 10, 200}, {"64 KiB", 64 << 10, 100}, {"64 KiB + 1", 64<<10 + 1, 50}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			for i := range c.rounds {
				side := Side(i % 2)
				peer := side.other()
				want := r.ends[peer].got + c.size
				for left := c.size; left > 0; r.turn(0) {
					left -= r.write(side, left)
				}
				r.until("a message", func() bool {
					r.read(peer, c.size)
					return r.ends[peer].got == want
				})
				if i%50 == 0 {
					r.settled()
					r.expectHoldsNothing()
				}
			}
			r.expectMeters()
			if c.size < bufferSize && r.relay.Engine() != "copy" {
				t.Errorf("engine %q for small messages", r.relay.Engine())
			}
		})
	}
}

// A reader that stops costs one spill or one pipe in its direction, and does
// not hold up the other one.
func TestBackpressure(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		r := newRig(t, rigOptions{engine: engine, buffers: 16 << 10})
		peer := side.other()
		r.fill(side)
		f := &r.relay.flows[side]
		if inside := int(f.read - f.written); inside <= 0 || inside > pipeSize {
			t.Errorf("the relay holds %d bytes", inside)
		}
		if engine == "copy" && (f.spill == nil || f.pipe.Size != 0) || engine == "splice" && (f.spill != nil || f.inPipe == 0) {
			t.Errorf("engine %s holds %+v", engine, short(f))
		}
		read := f.read
		for range 50 {
			r.turn(0)
			r.write(side, 1<<10)
		}
		if f.read != read {
			t.Error("the relay goes on reading for a reader that has stopped")
		}
		r.write(peer, 1000)
		r.until("the other direction", func() bool { r.read(side, 1000); return r.ends[side].got == 1000 })
		r.until("all bytes", func() bool {
			r.read(peer, 4<<10)
			return r.ends[peer].got == r.ends[side].sent
		})
		r.settled()
		r.expectHoldsNothing()
		r.expectMeters()
		if r.relay.Engine() == "splice" && r.spliced() == 0 {
			t.Error("engine splice without spliced bytes")
		}
	})
}

func TestIdleHoldsNothing(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.settled()
	r.expectHoldsNothing()
	if len(r.shared.pipes) != 0 || len(r.shared.spills) != 0 {
		t.Error("an idle relay took a pipe or spill")
	}
	for range 100 { // sustained, then idle again
		r.write(Downstream, 512<<10)
		r.turn(0)
		r.read(Upstream, 1<<20)
	}
	r.until("all bytes", func() bool { r.read(Upstream, 1<<20); return r.ends[Upstream].got == r.ends[Downstream].sent })
	r.settled()
	r.expectHoldsNothing()
	if r.relay.Engine() != "splice" || r.spliced() == 0 {
		t.Errorf("engine %q with %d spliced bytes for a sustained flow", r.relay.Engine(), r.spliced())
	}
	if len(r.shared.pipes) == 0 {
		t.Error("the pipe was not given back")
	}
}

// One turn of a busy relay ends after a bounded share.
func TestAgainAfterFullTurn(t *testing.T) {
	for _, engine := range []string{"copy", "splice"} {
		t.Run(engine, func(t *testing.T) {
			r := newRig(t, rigOptions{engine: engine, buffers: 4 << 20})
			r.settled()
			for r.ends[Downstream].sent < 3*turnBytes {
				if r.write(Downstream, 64<<10) == 0 {
					break
				}
			}
			waitSteady(r, Downstream)
			if have := r.ends[Downstream].sent - sock.Unsent(r.ends[Downstream].fd); have < 2*turnBytes {
				t.Fatalf("the kernel takes only %d bytes: raise net.core.rmem_max", have)
			}
			r.relay.Note(Downstream, sock.Readable)
			if r.move(Downstream); r.status != Again {
				t.Fatalf("status %d, want Again", r.status)
			}
			if n := r.relay.Read(Downstream); n < turnBytes || n > 2*turnBytes {
				t.Errorf("the turn moved %d bytes", n)
			}
			for r.ends[Upstream].got < r.ends[Downstream].sent {
				r.turn(1)
				r.read(Upstream, 1<<20)
			}
		})
	}
}
