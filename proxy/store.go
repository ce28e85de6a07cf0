package proxy

import (
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/listener"
)

const (
	// enrolAfter is how long a connection has been relayed before it is stored: short
	// ones would cost more to store than to lose.
	enrolAfter = int64(time.Second)

	// What one call of Enrol does at most, so that the loop is not held up: a
	// connection takes some 15 µs, and two descriptors until the store has it.
	enrolMost = 16
	visitMost = 1024
)

// StoreOp is something that a store is to do: to put an entry, or, when that is nil,
// to drop what has the name.
type StoreOp struct {
	Name string
	Put  *handover.Entry // has descriptors of its own; see StoreQueue.Close
}

// StoreQueue is what the daemon's store is to do, in order: what a loop drops comes
// behind what it has put. Loops never wait for a store. Any thread. To a nil queue,
// that of a daemon without a store, nothing can be added.
type StoreQueue struct {
	mu      sync.Mutex
	ops     []StoreOp
	waiting int // entries to be put, less those to be dropped
	wake    chan struct{}
}

// NewStoreQueue makes an empty one.
func NewStoreQueue() *StoreQueue { return &StoreQueue{wake: make(chan struct{}, 1)} }

// Ready receives something when there may be something to Take.
func (q *StoreQueue) Ready() <-chan struct{} { return q.wake }

// Take takes all that is to be done.
func (q *StoreQueue) Take() []StoreOp {
	q.mu.Lock()
	defer q.mu.Unlock()
	ops := q.ops
	q.ops = nil
	return ops
}

// Close closes what a StoreOp has: it is done, or will never be. Once for each.
func (q *StoreQueue) Close(op StoreOp) {
	if op.Put != nil {
		sock.CloseAll(op.Put.Descriptors)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting -= op.more()
}

// more is how many more entries a store has afterwards.
func (op *StoreOp) more() int {
	if op.Put == nil {
		return -1
	}
	return 1
}

// Waiting is how many more entries the store will have when it has done what was asked
// of it and is not closed yet.
func (q *StoreQueue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// Put has an entry stored, by duplicates of its descriptors.
func (q *StoreQueue) Put(entry *handover.Entry) error {
	own, err := entry.Duplicate()
	if err == nil {
		q.add(StoreOp{Name: entry.Name, Put: &own})
	}
	return err
}

// Drop has an entry dropped.
func (q *StoreQueue) Drop(name string) { q.add(StoreOp{Name: name}) }

func (q *StoreQueue) add(op StoreOp) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ops = append(q.ops, op)
	q.waiting += op.more()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// round is a walk over the live connections that are not stored, from the newest
// on: those that were stored long ago are behind them, mostly, and are not visited.
type round struct {
	at   *Connection // nil: between two walks
	left int         // connections to find
}

// Enrol has some of the connections stored that are not, and were relayed for a
// second at least. More says that the walk over them is not over: call it again, when
// the loop had time for others. The table is that of the configuration in force.
func (w *Worker) Enrol(table *listener.Table) (more bool) {
	r := &w.round
	if r.at == nil && w.live != nil {
		r.at, r.left = w.live.prev, w.linked-w.stored
	}
	enrolled := 0
	for visits := 0; r.at != nil && r.left > 0 && visits < visitMost && enrolled < enrolMost; visits++ {
		c := r.at
		w.step()
		if c.isStored() {
			continue
		}
		r.left--
		if c.enrol(table) {
			enrolled++
		}
	}
	if r.left == 0 {
		r.at = nil
	}
	return r.at != nil
}

// step goes on to the next older connection.
func (w *Worker) step() {
	if w.round.at == w.live {
		w.round.at = nil
		return
	}
	w.round.at = w.round.at.prev
}

// ForgetStore has all connections count as not stored, because the store may have
// lost them: Enrol stores them again. What closes until then is dropped all the same.
func (w *Worker) ForgetStore() {
	w.storing++
	w.stored = 0
}

// NotStored has connections count as not stored, given by the cookies of their entries:
// Enrol stores them again.
func (w *Worker) NotStored(cookies map[uint64]bool) {
	w.each(func(c *Connection) {
		if c.isStored() && cookies[c.stored] {
			c.storedIn = w.storing - 1
			w.stored--
		}
	})
}

// Stored is how many live connections were stored.
func (w *Worker) Stored() int { return w.stored }

// AddStored adds the names of the entries of live connections.
func (w *Worker) AddStored(names map[string]bool) {
	w.each(func(c *Connection) {
		if c.stored != 0 {
			names[handover.EntryName(c.stored)] = true
		}
	})
}

// isStored says whether the store has been given the connection. A cookie of before
// ForgetStore says only that it may have it.
func (c *Connection) isStored() bool { return c.stored != 0 && c.storedIn == c.worker.storing }

// enrol has the connection stored, if it can be.
func (c *Connection) enrol(table *listener.Table) bool {
	if c.state != relaying || c.loop().Now()-c.connected < enrolAfter {
		return false
	}
	state, ok := c.relay.Peek()
	if !ok {
		return false
	}
	c.upstreamLocal()
	conn := c.describe(&state)
	conn.Trail = trailNames(c.trail, table)
	entry, err := handover.Enrol(&conn)
	if err == nil {
		err = c.worker.around.Store.Put(&entry)
	}
	if err != nil {
		return false // a peer that has gone, or no descriptor left: the next walk tries again
	}
	c.markStored(conn.Stored)
	return true
}

// markStored notes that a store has the connection, under the cookie of its
// downstream socket; 0: none has. It is on the live ring, and its relay has started.
func (c *Connection) markStored(cookie uint64) {
	if cookie == 0 {
		return
	}
	if !c.isStored() {
		c.worker.stored++
	}
	c.stored, c.storedIn = cookie, c.worker.storing
	c.relay.Keep()
}

// leaveStore closes what the relay has ended and left open, and has the store do
// the same. Until it has, the sockets live: epoll would go on to report them.
func (c *Connection) leaveStore() {
	if c.stored == 0 {
		return
	}
	for side, fd := range c.fds {
		c.loop().Detach(c.watches[side], fd)
		sock.Close(fd)
	}
	c.worker.around.Store.Drop(handover.EntryName(c.stored))
}
