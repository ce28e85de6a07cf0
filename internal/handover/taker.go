package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// Taker is the new process's side. Its calls are made in the order in which they
// stand in the package comment, from one goroutine. Until Ready has returned
// without an error this process is nothing and should end when a call fails;
// afterwards it serves what it has got so far.
type Taker struct {
	link  link
	ready time.Duration
	peer  Process
	batch []Connection // waits for Acknowledge, which owns its descriptors
}

// Dial connects to the process that will be taken over from: to its Server's path.
// The caller closes the Taker.
func Dial(ctx context.Context, path string, o Options) (*Taker, error) {
	conn, err := dialUnix(ctx, path)
	if err != nil {
		return nil, err
	}
	t := &Taker{link: link{conn, o.step()}, ready: o.ready()}
	if t.peer, err = t.link.greet(roleTaker, roleGiver, &o); err != nil {
		conn.Close()
		return nil, fmt.Errorf("the process at %s, to take over from: %w", path, err)
	}
	return t, nil
}

// Peer is what the old process says of itself.
func (t *Taker) Peer() Process { return t.peer }

// Listeners returns the old process's listening sockets, which the caller owns. It
// must not accept from them before Ready. Connections in the queue of a socket that
// it closes are reset once the old process has ended.
func (t *Taker) Listeners() ([]ListenerSocket, error) {
	var all []ListenerSocket
	for more := true; more; {
		var body listenersBody
		fds, err := t.link.expect(kindListeners, t.link.step, &body)
		if err == nil && (len(fds) != len(body.Listeners) || len(all)+len(fds) > maxListeners || body.More && len(fds) == 0) {
			sock.CloseAll(fds)
			err = fmt.Errorf("%w: %d listening sockets with %d descriptors, after %d", ErrProtocol, len(body.Listeners), len(fds), len(all))
		}
		if err != nil {
			for i := range all {
				sock.Close(all[i].FD)
			}
			return nil, fmt.Errorf("taking listening sockets over: %w", err)
		}
		for i, fd := range fds {
			body.Listeners[i].FD = fd
		}
		all, more = append(all, body.Listeners...), body.More
	}
	return all, nil
}

// Ready says that this process is built, bound and ready to accept, and from which of
// the Listeners, by their places in the list; it waits until the old one says go.
// From then on this process accepts.
func (t *Taker) Ready(kept []int) error {
	err := t.link.send(kindReady, readyBody{kept}, nil)
	if err == nil {
		err = t.link.decision(kindAccept, t.link.step)
	}
	if err != nil {
		return fmt.Errorf("telling the old process that this one is ready: %w", err)
	}
	return nil
}

// Connections returns the next batch, and io.EOF when the old process has no more
// and was told that it may end. ErrOff says that the old process goes on by itself;
// after any other error it is probably dead. The batch must be acknowledged before the next
// call, and until then be looked at only: nothing may be read from its sockets or
// written to them. The old process may take its time between two batches: Ready in
// Options bounds the wait.
func (t *Taker) Connections() ([]Connection, error) {
	if t.batch != nil {
		return nil, errors.New("taking connections over: the batch before was not acknowledged")
	}
	m, err := t.link.receive(t.ready)
	if err != nil {
		return nil, fmt.Errorf("taking connections over: %w", err)
	}
	if m.kind == kindDone && len(m.fds) == 0 {
		if err := t.link.send(kindOver, nil, nil); err != nil {
			return nil, fmt.Errorf("ending the hand-over: %w", err)
		}
		return nil, io.EOF
	}
	batch, err := decodeBatch(&m)
	if err != nil {
		sock.CloseAll(m.fds)
		return nil, fmt.Errorf("taking connections over: %w", err)
	}
	t.batch = batch
	return slices.Clone(batch), nil
}

func decodeBatch(m *message) ([]Connection, error) {
	batch := []Connection{}
	if err := m.decode(kindConnections, &batch); err != nil {
		return nil, err
	}
	if len(batch) == 0 || len(m.fds) != 2*len(batch) {
		return nil, fmt.Errorf("%w: %d connections with %d descriptors", ErrProtocol, len(batch), len(m.fds))
	}
	if err := distinct(batch); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	for i := range batch {
		batch[i].Downstream, batch[i].Upstream = m.fds[2*i], m.fds[2*i+1]
	}
	return batch, nil
}

// Acknowledge takes those connections of the batch whose IDs are given. When it
// returns nil, they are the caller's, with their descriptors; the others stay with
// the old process. After an error all of them do.
func (t *Taker) Acknowledge(ids []uint64) error {
	batch := t.batch
	t.batch = nil
	err := within(ids, batch)
	if err == nil {
		err = t.link.send(kindTake, takeBody{ids}, nil)
	}
	if err == nil {
		err = t.link.decision(kindTaken, t.link.step)
	}
	if err != nil {
		ids = nil
		err = fmt.Errorf("acknowledging connections: %w", err)
	}
	closeBatch(batch, ids)
	return err
}

// within holds IDs to the batch, each once: the old process would refuse them all.
func within(ids []uint64, batch []Connection) error {
	left := make(map[uint64]bool, len(batch))
	for i := range batch {
		left[batch[i].ID] = true
	}
	for _, id := range ids {
		if !left[id] {
			return fmt.Errorf("connection %d is not in the batch, or was named twice", id)
		}
		delete(left, id)
	}
	return nil
}

// closeBatch closes the duplicates of a batch, but not of those to keep.
func closeBatch(batch []Connection, keep []uint64) {
	kept := make(map[uint64]bool, len(keep))
	for _, id := range keep {
		kept[id] = true
	}
	for i := range batch {
		if !kept[batch[i].ID] {
			sock.Close(batch[i].Downstream)
			sock.Close(batch[i].Upstream)
		}
	}
}

// Interrupt ends a call that waits, and all that come after it. Any goroutine.
func (t *Taker) Interrupt() { t.link.conn.Close() }

// Close ends the hand-over, wherever it is. A batch that was not acknowledged stays
// with the old process.
func (t *Taker) Close() error {
	closeBatch(t.batch, nil)
	t.batch = nil
	return t.link.conn.Close()
}
