package relay

import "github.com/sluiceproxy/sluice/internal/sock"

// State is a relay between two owners, by the loop's clock. Together with the two
// sockets it is all that the next owner needs to go on.
type State struct {
	Flows    [2]FlowState // by the side that the bytes come from
	LastByte int64        // loop time at which a byte or a FIN last moved
}

// FlowState is one direction of a State. Read is always Written and what waits.
type FlowState struct {
	Read    uint64 // bytes taken from the source
	Written uint64 // bytes given to the destination
	Waiting []byte // taken and not given yet
	Ended   bool   // the source has sent FIN
	FinSent bool   // and the destination has been sent one
	Spliced bool   // some bytes went by splice
}

// Valid says whether a relay can go on from here. What comes from another process
// must be asked: a byte that is missing is not to be found out by the peer.
func (s *State) Valid() bool {
	for i := range s.Flows {
		f := &s.Flows[i]
		missing := f.Read-f.Written != uint64(len(f.Waiting)) || f.Read < f.Written
		if missing || f.FinSent && (!f.Ended || len(f.Waiting) > 0) {
			return false
		}
	}
	return !s.Flows[Downstream].FinSent || !s.Flows[Upstream].FinSent
}

// Detach stops a relay between two turns. The sockets stay as they are, are the
// caller's again, and must not be used by the relay any more; what the relay has
// borrowed is given back. False means that it cannot be handed over, and goes on
// as if nothing had been asked: a reset waits to be delivered, or it has ended.
func (r *Relay) Detach() (State, bool) {
	if r.sockets[Downstream] < 0 || r.failed[Downstream] || r.failed[Upstream] {
		return State{}, false
	}
	for side := range r.flows {
		if !r.emptyPipe(&r.flows[side]) {
			return State{}, false
		}
	}
	s := r.counts()
	for side := range r.flows {
		f := &r.flows[side]
		s.Flows[side].Waiting = f.spill.bytes()
		r.dropSpill(f)
	}
	r.sockets = Sockets{-1, -1}
	return s, true
}

// Peek is where the relay is, without the bytes that wait: it goes on. False means
// that it has ended, or a reset waits to be delivered.
func (r *Relay) Peek() (State, bool) {
	if r.sockets[Downstream] < 0 || r.failed[Downstream] || r.failed[Upstream] {
		return State{}, false
	}
	return r.counts(), true
}

// counts is the relay's State without Waiting.
func (r *Relay) counts() State {
	s := State{LastByte: r.lastByte}
	for side := range r.flows {
		f := &r.flows[side]
		s.Flows[side] = FlowState{Read: f.read, Written: f.written, Ended: f.ended, FinSent: f.finSent, Spliced: f.spliced}
	}
	return s
}

// emptyPipe takes what waits in a flow's pipe into a spill, which any relay can
// go on from. Should the kernel refuse that, the rest stays behind the spill, in
// order.
func (r *Relay) emptyPipe(f *flow) bool {
	if f.inPipe > 0 && f.spill == nil {
		buf, n := make([]byte, f.inPipe), 0
		for n < len(buf) {
			m, errno := f.pipe.Read(buf[n:])
			if errno == sock.EINTR {
				continue
			}
			if m == 0 {
				break
			}
			n += m
		}
		f.inPipe -= n
		if n > 0 {
			f.spill = &spill{data: buf, to: n}
		}
	}
	if f.inPipe > 0 {
		return false
	}
	r.dropPipe(f)
	return true
}

// bytes are what waits in a spill, for whoever keeps them longer than the spill is
// borrowed; nil: nothing.
func (sp *spill) bytes() []byte {
	switch {
	case sp == nil:
		return nil
	case len(sp.data) != bufferSize: // nobody borrows it again
		return sp.data[sp.from:sp.to]
	}
	return append([]byte(nil), sp.data[sp.from:sp.to]...)
}

// Resume lets a relay that was just started go on from a valid State: what waits
// is written before anything else, and a FIN that was not passed on yet follows
// it. Bytes of before count in Read, Written and Engine, and not again in the
// meter. The state's Waiting are the relay's from here on.
//
// What the sockets have reported to the former owner is not known, so both count
// as readable and writable: the caller calls Move next.
func (r *Relay) Resume(s *State) {
	r.lastByte = s.LastByte
	for side := range r.flows {
		f, was := &r.flows[side], &s.Flows[side]
		*f = flow{
			read: was.Read, written: was.Written,
			readable: !was.Ended, writable: true,
			ended: was.Ended, finSent: was.FinSent, spliced: was.Spliced,
		}
		if n := len(was.Waiting); n > 0 {
			f.spill = &spill{data: was.Waiting, to: n}
		}
		if was.Ended && (r.end.Cause == Open || was.FinSent) {
			r.end = End{Cause: Fin, By: Side(side)} // of two, the one that was passed on came first
		}
	}
}
