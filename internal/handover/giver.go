package handover

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// batchBytes is about how large messages of connections get: small ones keep the
// pause of each connection short.
const batchBytes = 256 << 10

// Giver is the old process's side. Its calls are made in the order in which they
// stand in the package comment, from one goroutine. After an error only Close is
// of use; nothing is the other process's but what a call has said is.
type Giver struct {
	link    link
	ready   time.Duration
	peer    Process
	pid     int // of the peer
	offered int // listening sockets
}

// Peer is what the new process says of itself.
func (g *Giver) Peer() Process { return g.peer }

// SendListeners gives duplicates of the listening sockets. The caller keeps its
// own, and goes on accepting.
func (g *Giver) SendListeners(sockets []ListenerSocket) error {
	if len(sockets) > maxListeners {
		return fmt.Errorf("%d listening sockets cannot be handed over; %d are the most", len(sockets), maxListeners)
	}
	g.offered = len(sockets)
	for {
		some := sockets[:min(len(sockets), sock.MaxRights)]
		sockets = sockets[len(some):]
		fds := make([]int, len(some))
		for i := range some {
			fds[i] = some[i].FD
		}
		body := listenersBody{Listeners: some, More: len(sockets) > 0}
		if err := g.link.send(kindListeners, body, fds); err != nil {
			return fmt.Errorf("handing listening sockets over: %w", err)
		}
		if !body.More {
			return nil
		}
	}
}

// WaitReady waits until the new process can accept and has it begin. It returns
// from which of the listening sockets, by their places in the list; the caller
// goes on accepting from the others. From those it stops accepting then, but keeps
// them until Done: should the new process die before that, it accepts again, and
// whoever waits in a queue is served.
func (g *Giver) WaitReady() (kept []int, err error) {
	var ready readyBody
	err = g.link.expectBare(kindReady, g.ready, &ready)
	if err == nil {
		err = places(ready.Kept, g.offered)
	}
	if err == nil {
		err = g.link.send(kindAccept, nil, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("waiting for the new process to be ready: %w", err)
	}
	return ready.Kept, nil
}

// places holds the places that the new process names to the list.
func places(kept []int, offered int) error {
	for _, place := range kept {
		if place < 0 || place >= offered {
			return fmt.Errorf("%w: it keeps listening socket %d of %d", ErrProtocol, place, offered)
		}
	}
	return nil
}

// SendConnections hands live connections over, in batches. IDs must differ. The
// caller does not touch them meanwhile. The new process has those whose IDs are
// returned, and their descriptors here are closed; all others are the caller's as
// before, also after an error. It is called again for more: each connection pauses
// for the whole call, so give it a few hundred at a time.
func (g *Giver) SendConnections(connections []Connection) (taken []uint64, err error) {
	if err := distinct(connections); err != nil {
		return nil, err
	}
	for len(connections) > 0 {
		records, err := encodeBatch(connections)
		if err != nil {
			return taken, err
		}
		batch := connections[:len(records)]
		connections = connections[len(records):]
		ids, err := g.sendBatch(batch, records)
		taken = append(taken, ids...)
		if err != nil {
			return taken, fmt.Errorf("handing connections over: %w", err)
		}
	}
	return taken, nil
}

// encodeBatch encodes as many connections as make one message, at least one.
func encodeBatch(connections []Connection) ([]json.RawMessage, error) {
	var records []json.RawMessage
	for size := 0; len(records) < min(len(connections), maxBatch) && size < batchBytes; {
		record, err := json.Marshal(&connections[len(records)])
		if err != nil {
			return nil, fmt.Errorf("encoding connection %d: %w", connections[len(records)].ID, err)
		}
		if size += len(record); size > maxBody/2 && len(records) > 0 {
			break
		}
		records = append(records, record)
	}
	return records, nil
}

// sendBatch hands one batch over. Sending kindTaken is the moment in which the
// connections change their owner: see link.decision.
func (g *Giver) sendBatch(batch []Connection, records []json.RawMessage) ([]uint64, error) {
	byID := make(map[uint64]*Connection, len(batch))
	fds := make([]int, 0, 2*len(batch))
	for i := range batch {
		byID[batch[i].ID] = &batch[i]
		fds = append(fds, batch[i].Downstream, batch[i].Upstream)
	}
	if err := g.link.send(kindConnections, records, fds); err != nil {
		return nil, err
	}
	var take takeBody
	if err := g.link.expectBare(kindTake, g.link.step, &take); err != nil {
		return nil, err
	}
	taken := make([]*Connection, 0, len(take.IDs))
	for _, id := range take.IDs {
		c := byID[id]
		if c == nil {
			return nil, fmt.Errorf("%w: it takes connection %d, which it was not given, or twice", ErrProtocol, id)
		}
		delete(byID, id)
		taken = append(taken, c)
	}
	if err := g.link.send(kindTaken, nil, nil); err != nil {
		return nil, err
	}
	for _, c := range taken {
		sock.Close(c.Downstream)
		sock.Close(c.Upstream)
	}
	return take.IDs, nil
}

func distinct(connections []Connection) error {
	seen := make(map[uint64]bool, len(connections))
	for i := range connections {
		if seen[connections[i].ID] {
			return fmt.Errorf("two connections have the ID %d: cannot hand them over", connections[i].ID)
		}
		seen[connections[i].ID] = true
	}
	return nil
}

// Done says that no more connections come, and waits until the new process has
// understood. The caller closes its listening sockets then, finishes what it still
// has, and ends. After an error it accepts again.
func (g *Giver) Done() error {
	err := g.link.send(kindDone, nil, nil)
	if err == nil {
		err = g.link.expectBare(kindOver, g.link.step, nil)
	}
	if err != nil {
		return fmt.Errorf("ending the hand-over: %w", err)
	}
	return nil
}

// CallOff tells the new process, if it still listens, that this one accepts again
// and goes on with what was not taken. After it only Close is of use.
func (g *Giver) CallOff() error { return g.link.send(kindOff, nil, nil) }

// PeerProcess is the new process's number, 0 where it cannot be seen from here, as in
// another container.
func (g *Giver) PeerProcess() int { return g.pid }

// Close ends the hand-over, wherever it is. Any goroutine.
func (g *Giver) Close() error { return g.link.conn.Close() }
