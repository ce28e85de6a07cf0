package proxy

import (
	"runtime/debug"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/intercept"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// Surroundings are what all workers of the process share.
type Surroundings struct {
	Guard  *intercept.Guard
	Limits *listener.Limits
	Resets stats.Relay

	Inspections stats.Inspection

	Log *zap.Logger

	// Unmatched logs connections that never came to a filter chain.
	Unmatched atomic.Pointer[accesslog.Logger]

	// Store is what the daemon's store is to do; nil: there is none.
	Store *StoreQueue

	// IDs counts connections.
	IDs atomic.Uint64
}

// ContinueIDs lets new connections have numbers above id, which another process
// has given. Who takes its connections over calls it before the first one is
// accepted. Any thread.
func (s *Surroundings) ContinueIDs(id uint64) {
	for {
		last := s.IDs.Load()
		if last >= id || s.IDs.CompareAndSwap(last, id) {
			return
		}
	}
}

// maxFree is how many ended connections a worker keeps to use again. More would
// hold the memory of the busiest moment for ever.
const maxFree = 1024

// Worker owns the connections of one loop. Its methods are for the loop's
// thread.
type Worker struct {
	around *Surroundings
	number int
	loop   listener.Loop
	relays *relay.Shared
	live   *Connection // a ring of the live ones through next and prev, or nil
	free   *Connection // ended ones to use again, through next
	kept   int         // how many those are
	record accesslog.Record

	linked  int    // connections on the ring
	stored  int    // of these, that were stored
	storing uint32 // one more than ForgetStore was called
	round   round

	scratch listener.Scratch
	peeked  []byte // the first bytes of the connection that is looked at
}

// NewWorker makes the worker of the loop with the given number. Its owner calls
// Close when the loop has stopped.
func NewWorker(number int, loop listener.Loop, around *Surroundings) *Worker {
	return &Worker{around: around, number: number, loop: loop, relays: relay.NewShared(), storing: 1}
}

// Close gives back what the worker keeps for connections to come.
func (w *Worker) Close() { w.relays.Close() }

// Serve takes a connection over, with its descriptor, until it is closed.
func (w *Worker) Serve(a listener.Accepted, chains *Chains) {
	c := w.take()
	defer func() {
		if value := recover(); value != nil {
			c.OnPanic(value, debug.Stack())
		}
	}()
	c.begin(a, chains)
}

// ResetAll ends all live connections with RST, because a drain is over.
func (w *Worker) ResetAll() {
	for w.live != nil {
		w.live.reset(accesslog.Drained)
	}
}

// take gives a connection struct that is on the live ring. Structs are used
// again, so that a busy loop allocates none.
func (w *Worker) take() *Connection {
	c := w.free
	if c != nil {
		w.free, c.next, c.state = c.next, nil, opening
		w.kept--
	} else {
		c = &Connection{worker: w}
	}
	w.link(c)
	return c
}

// link puts a connection on the live ring.
func (w *Worker) link(c *Connection) {
	w.linked++
	if c.isStored() {
		w.stored++
	}
	if w.live == nil {
		c.next, c.prev = c, c
		w.live = c
		return
	}
	c.next, c.prev = w.live, w.live.prev
	c.prev.next, c.next.prev = c, c
}

// unlink takes a connection off the live ring.
func (w *Worker) unlink(c *Connection) {
	if w.round.at == c {
		w.step()
	}
	w.linked--
	if c.isStored() {
		w.stored--
	}
	if w.live == c {
		w.live = c.next
	}
	if w.live == c {
		w.live = nil
	}
	c.prev.next, c.next.prev = c.next, c.prev
	c.next, c.prev = nil, nil
}

// put takes back what take has given. It forgets everything but what OnPanic may still
// want to say: what it held of an old configuration would live as long as nobody uses it.
func (w *Worker) put(c *Connection) {
	w.unlink(c)
	*c = Connection{worker: w, id: c.id, state: closed}
	if w.kept < maxFree {
		c.next, w.free = w.free, c
		w.kept++
	}
}
