package relay

import (
	"math/rand/v2"
	"testing"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// model is what a script has done at each side, and what the other must see.
type model struct {
	finned  [2]bool
	reset   [2]bool
	atLeast [2]int // bytes from this side that had reached the relay's kernel when it reset
}

// play runs a script of random actions at both ends, then lets both read to
// their end, and checks each against the model: the exact bytes, in order, then
// the end that the other side made.
func play(t *testing.T, script []byte) {
	if len(script) < 2 {
		return
	}
	options := rigOptions{
		engine:  []string{"", "copy", "splice"}[script[0]%3],
		buffers: []int{0, 16 << 10, 64 << 10, 256 << 10}[script[1]%4],
	}
	r := newRig(t, options)
	var m model
	for _, b := range script[2:] {
		r.act(&m, Side(b&1), b>>1)
	}
	for _, side := range []Side{Downstream, Upstream} {
		if !m.finned[side] && !m.reset[side] {
			sock.CloseWrite(r.ends[side].fd) // fails where the other side's reset has come
			m.finned[side] = true
		}
	}
	r.until("both ends and the relay's", func() bool {
		for side := range r.ends {
			if e := &r.ends[side]; !e.closed && !e.over {
				r.read(Side(side), 64<<10)
			}
		}
		if r.status != Finished && r.relay.probe != 0 {
			r.status = r.relay.OnTimer(r.now)
		}
		over := func(e *end) bool { return e.closed || e.over }
		return r.status == Finished && over(&r.ends[Downstream]) && over(&r.ends[Upstream])
	})
	r.expectModel(&m)
	r.expectMeters()
	r.expectPoolsEmpty()
}

// act takes one step at a side: most write or read, few end it.
func (r *rig) act(m *model, side Side, action byte) {
	r.t.Helper()
	e := &r.ends[side]
	size := 1 << (action >> 3 & 15) // up to 32 KiB, times 8
	switch action & 7 {
	case 0, 1:
		if !m.finned[side] && !m.reset[side] {
			r.write(side, size)
		}
	case 2:
		if !m.finned[side] && !m.reset[side] {
			r.write(side, 8*size)
		}
	case 3, 4:
		if !e.closed && !e.over {
			r.read(side, 8*size)
		}
	case 5:
		r.turn(0)
		if action>>3 >= 8 && r.status != Finished {
			r.handOver() // declined where a reset waits
		}
	case 6:
		for range 3 {
			r.turn(1)
		}
	case 7:
		r.endSide(m, side, action>>3)
	}
}

// endSide ends a side: by FIN, or seldom by RST.
func (r *rig) endSide(m *model, side Side, how byte) {
	switch {
	case m.reset[side]:
	case how < 2:
		m.atLeast[side] = r.ends[side].sent - sock.Unsent(r.ends[side].fd)
		m.reset[side] = true
		r.reset(side)
	case how < 8 && !m.finned[side]:
		m.finned[side] = true
		sock.CloseWrite(r.ends[side].fd)
	}
}

func (r *rig) expectModel(m *model) {
	r.t.Helper()
	for _, side := range []Side{Downstream, Upstream} {
		peer, e := side.other(), &r.ends[side]
		if e.closed {
			continue // it reset: whatever it saw is right, its bytes were checked
		}
		sent := r.ends[peer].sent
		switch {
		case !m.reset[peer]:
			r.expectRead(side, sent, 0)
		case e.got < m.atLeast[peer]:
			r.t.Errorf("side %d saw %d of %d bytes; %d had arrived before the reset", side, e.got, sent, m.atLeast[peer])
		case e.errno == 0 && m.finned[peer]: // FIN was passed on before the reset came
			r.expectRead(side, sent, 0)
		default:
			r.expectRead(side, e.got, sock.ECONNRESET)
		}
	}
	end := r.relay.End()
	switch {
	case m.reset[0] && m.reset[1]:
		if end.Cause != Reset && end.Cause != Fin {
			r.t.Errorf("end %+v after two resets", end)
		}
	case m.reset[0] || m.reset[1]:
		by := Downstream
		if m.reset[1] {
			by = Upstream
		}
		// Where both had sent FIN, a reset may come too late to be seen.
		if end != resetBy(by) && !(end.Cause == Fin && m.finned[by]) {
			r.t.Errorf("end %+v, want a reset by %d", end, by)
		}
	case end.Cause != Fin:
		r.t.Errorf("end %+v, want FIN", end)
	}
}

func TestRandomScripts(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 7))
		script := make([]byte, 2+random.IntN(150))
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		play(t, script)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzRelay(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 0x12, 0x0a, 0x0e, 0x13})
	f.Add([]byte{2, 1, 0xf4, 0xf4, 0xf4, 0x0e, 0x0c, 0xf5})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 500 {
			return
		}
		play(t, script)
	})
}
