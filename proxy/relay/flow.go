package relay

import (
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/stats"
)

const (
	// fullReads is how many full buffers in a row make a flow sustained: from
	// then on it is spliced, until it runs dry.
	fullReads = 3

	// turnBytes is what one flow moves before other connections have their
	// turn.
	turnBytes = 1 << 20
)

// flow is one direction of a relay: from the side it is named after to the
// other.
//
// Readiness is remembered, because epoll reports edges: readable stays true
// until a read found nothing more, writable until a write was not taken whole.
type flow struct {
	read    uint64 // bytes taken from the source
	written uint64 // bytes given to the destination
	spill   *spill // copied bytes that wait; nil: none
	pipe    sock.Pipe
	inPipe  int // spliced bytes that wait in pipe

	streak   uint8 // full buffers read in a row
	readable bool
	writable bool
	behind   bool // FIN or urgent data were reported: a short read does not mean that nothing is left
	ended    bool // the source gives nothing more: FIN, or failed
	finSent  bool // and the destination knows
	dead     bool // the destination takes nothing more
	spliced  bool // some bytes went by splice
	noSplice bool // this pair of sockets cannot be spliced
}

// waiting says whether bytes were read that are not written yet.
func (f *flow) waiting() bool { return f.spill != nil || f.inPipe > 0 }

// move moves bytes from one side to the other until a socket blocks, the source
// ends or the turn's share is used up; then more is true.
func (r *Relay) move(from Side) (more bool) {
	f := &r.flows[from]
	for budget := turnBytes; budget > 0; {
		switch {
		case f.dead || f.finSent:
			return false
		case f.waiting():
			if !f.writable || !r.flush(from) {
				return false
			}
		case f.ended:
			r.finish(from)
			return false
		case !f.readable || !f.writable:
			r.dropPipe(f)
			return false
		case f.streak >= fullReads && r.takePipe(f):
			budget -= r.splice(from)
		default:
			budget -= r.copy(from)
		}
	}
	return true
}

// copy reads one buffer and writes it. Entering, nothing waits.
func (r *Relay) copy(from Side) int {
	f := &r.flows[from]
	buffer := r.shared.buffer
	n, errno := sock.Read(r.sockets[from], buffer)
	if n == 0 {
		r.nothingRead(from, errno)
		return 0
	}
	r.took(from, n)
	if n == len(buffer) {
		f.streak = min(f.streak+1, fullReads)
	} else {
		f.streak = 0
		// A short read has emptied the socket: what comes later makes a new
		// edge. Only a FIN that is already there does not, and urgent data,
		// at whose mark every read stops (tcp(7)).
		f.readable = f.behind
	}
	if rest := r.write(from, buffer[:n]); len(rest) > 0 && !f.dead {
		f.spill = r.shared.borrowSpill(rest)
	}
	return n
}

// splice fills the pipe once and empties it as far as possible. Entering, the
// flow has a pipe and it is empty, so that EAGAIN can only mean the socket.
func (r *Relay) splice(from Side) int {
	f := &r.flows[from]
	n, errno := sock.Splice(r.sockets[from], f.pipe.WriteEnd, f.pipe.Size)
	if errno == sock.EINVAL {
		f.noSplice = true
		r.dropPipe(f)
		return 0
	}
	if n == 0 {
		// Dry: back to copying; one full buffer is enough to come here again.
		f.streak = fullReads - 1
		r.dropPipe(f)
		if errno == sock.EAGAIN && f.behind {
			return 0 // perhaps urgent data, which splice cannot pass: copy tells
		}
		r.nothingRead(from, errno)
		return 0
	}
	r.took(from, n)
	f.inPipe = n
	r.flush(from)
	return n
}

// nothingRead deals with a read that gave no bytes: FIN (errno 0), nothing to
// read now, or a failed socket.
func (r *Relay) nothingRead(from Side, errno sock.Errno) {
	f := &r.flows[from]
	switch errno {
	case sock.EAGAIN:
		f.readable = false
	case sock.EINTR:
	case 0:
		f.ended, f.readable = true, false
		r.ended(from)
	default:
		f.ended, f.readable = true, false
		r.fail(from, errno)
	}
}

// flush writes what waits and says whether all of it went.
func (r *Relay) flush(from Side) bool {
	f := &r.flows[from]
	if f.spill != nil {
		sp := f.spill
		rest := r.write(from, sp.data[sp.from:sp.to])
		if len(rest) > 0 {
			sp.from = sp.to - len(rest)
			return false
		}
		r.dropSpill(f)
		return true
	}
	for f.inPipe > 0 {
		n, errno := sock.Splice(f.pipe.ReadEnd, r.sockets[from.other()], f.inPipe)
		if errno == sock.EINTR {
			continue
		}
		if errno != 0 {
			r.refused(from, errno)
			return false
		}
		f.inPipe -= n
		f.spliced = true
		r.gave(from, r.meter.SpliceBytes, n)
	}
	return true
}

// write gives bytes to the destination and returns those it did not take.
func (r *Relay) write(from Side, bytes []byte) []byte {
	for len(bytes) > 0 {
		n, errno := sock.Write(r.sockets[from.other()], bytes)
		if errno == sock.EINTR {
			continue
		}
		if errno != 0 {
			r.refused(from, errno)
			return bytes
		}
		r.gave(from, r.meter.CopyBytes, n)
		bytes = bytes[n:]
	}
	return nil
}

// refused deals with a write that the destination did not take.
func (r *Relay) refused(from Side, errno sock.Errno) {
	if errno == sock.EAGAIN {
		r.flows[from].writable = false
		return
	}
	r.fail(from.other(), errno)
}

func (r *Relay) took(from Side, n int) {
	r.flows[from].read += uint64(n)
	r.lastByte = r.now
	r.meter.read(from, n)
}

func (r *Relay) gave(from Side, engine stats.Counter, n int) {
	r.flows[from].written += uint64(n)
	r.lastByte = r.now
	r.meter.written(from.other(), engine, n)
}

// finish passes the source's end on. A FIN is never sent while bytes wait. The
// second of the two needs no call of its own: settle closes both sockets next.
func (r *Relay) finish(from Side) {
	f := &r.flows[from]
	f.finSent = true
	r.dropPipe(f)
	if r.failed[from] || r.flows[from.other()].finSent {
		return // its end is a reset, or both have ended, see settle
	}
	if errno := sock.CloseWrite(r.sockets[from.other()]); errno != 0 {
		r.fail(from.other(), errno)
	}
}

func (r *Relay) takePipe(f *flow) bool {
	if f.noSplice {
		return false
	}
	if f.pipe.Size > 0 {
		return true
	}
	pipe, ok := r.shared.borrowPipe(r.now)
	if ok {
		f.pipe = pipe
	}
	return ok
}

func (r *Relay) dropPipe(f *flow) {
	if f.pipe.Size > 0 {
		r.shared.returnPipe(f.pipe, f.inPipe)
		f.pipe, f.inPipe = sock.Pipe{}, 0
	}
}

func (r *Relay) dropSpill(f *flow) {
	if f.spill != nil {
		r.shared.returnSpill(f.spill)
		f.spill = nil
	}
}
