package handover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// HolderOptions bound what a Holder keeps.
type HolderOptions struct {
	MaxEntries int           // 0 = 65536
	Orphaned   time.Duration // keep entries that long after the last client has gone; 0 = 1m
}

const (
	defaultMaxEntries = 1 << 16
	defaultOrphaned   = time.Minute
	maxClients        = 16

	// ownDescriptors is what the holder needs beside its entries: clients, and what
	// a message has brought that is not decided yet.
	ownDescriptors = 512

	// acceptPause is how long the holder does not accept after an accept failed, as
	// when descriptors are short.
	acceptPause = 100 * time.Millisecond

	// holderStep bounds a message to or from a client once it has begun.
	holderStep = 10 * time.Second
)

// Holder is the process that keeps descriptors for a daemon that may die: what
// systemd's descriptor store is, where there is no systemd. Its clients are
// HolderStores. One that is connected keeps the entries from being orphaned.
type Holder struct {
	listener *net.UnixListener
	path     string
	own      os.FileInfo
	options  HolderOptions

	mu      sync.Mutex // guards what follows
	entries map[string]Entry
	kept    int            // descriptors of the entries
	clients map[*link]bool // true: is a daemon, as its hello says
	orphans *time.Timer    // drops the entries, while there are no clients
	closed  bool

	quit    chan struct{} // a client wants the holder to end
	serving sync.WaitGroup
}

// NewHolder listens as Listen does.
func NewHolder(path string, o HolderOptions) (*Holder, error) {
	l, err := listenAt(path)
	if err != nil {
		return nil, err
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = defaultMaxEntries
	}
	if o.Orphaned == 0 {
		o.Orphaned = defaultOrphaned
	}
	h := &Holder{
		listener: l, path: path, own: identity(path), options: o,
		entries: make(map[string]Entry), clients: make(map[*link]bool), quit: make(chan struct{}, 1),
	}
	h.orphans = time.AfterFunc(o.Orphaned, h.dropOrphans)
	h.orphans.Stop()
	return h, nil
}

// Serve answers clients until ctx is done or a client says that it should end. It
// drops all entries then: with a reset, if no daemon is left that has the sockets
// too.
func (h *Holder) Serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	h.serving.Go(func() {
		defer cancel()
		select {
		case <-ctx.Done():
		case <-h.quit:
		}
	})
	for ctx.Err() == nil {
		if conn, err := accept(ctx, h.listener); err == nil {
			h.admit(conn)
			continue
		}
		select { // what is kept is worth more than a client
		case <-ctx.Done():
		case <-time.After(acceptPause):
		}
	}
	h.close()
	h.serving.Wait()
}

func (h *Holder) close() {
	removeIfSame(h.path, h.own)
	h.listener.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.orphans.Stop()
	h.dropAll(len(h.clients) == 0)
	for client := range h.clients {
		client.conn.Close()
	}
}

// dropAll closes everything. The lock is held.
func (h *Holder) dropAll(reset bool) {
	for _, e := range h.entries {
		if reset {
			e.Discard()
		} else {
			sock.CloseAll(e.Descriptors)
		}
	}
	clear(h.entries)
	h.kept = 0
}

// admit starts to serve a client.
func (h *Holder) admit(conn *net.UnixConn) {
	client := &link{conn, holderStep}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) >= maxClients || !mayTalk(conn) {
		conn.Close()
		return
	}
	h.clients[client] = false
	h.orphans.Stop()
	h.serving.Go(func() {
		h.serve(client)
		conn.Close()
		h.leave(client)
	})
}

func mayTalk(conn *net.UnixConn) bool {
	_, err := checkPeer(conn)
	return err == nil
}

func (h *Holder) leave(client *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, client)
	if len(h.clients) == 0 && !h.closed {
		h.orphans.Reset(h.options.Orphaned)
	}
}

// dropOrphans resets the connections that no daemon has come back for: their peers
// would else wait for ever.
func (h *Holder) dropOrphans() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) == 0 && !h.closed {
		h.dropAll(true)
	}
}

// serve answers one client until it goes or does not keep to the protocol.
func (h *Holder) serve(client *link) {
	if _, err := client.greet(roleHolder, roleClient, &Options{}); err != nil {
		return
	}
	h.greeted(client)
	for {
		m, err := client.receive(0)
		if err == nil && m.kind == kindQuit {
			sock.CloseAll(m.fds)
			client.send(kindOK, nil, nil) // first, as ending cuts clients off
			h.end()
			return
		}
		if err == nil {
			err = h.answer(client, &m)
		}
		if err != nil {
			return
		}
	}
}

func (h *Holder) greeted(client *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients[client] = true
}

// alone says whether no other daemon than this client is connected. The connections
// would otherwise get a second process that reads from them.
func (h *Holder) alone(client *link) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for other, daemon := range h.clients {
		if daemon && other != client {
			return false
		}
	}
	return true
}

// end has Serve return. Once is enough.
func (h *Holder) end() {
	select {
	case h.quit <- struct{}{}:
	default:
	}
}

// answer does what a message asks. An error ends the client.
func (h *Holder) answer(client *link, m *message) error {
	var err error
	switch m.kind {
	case kindPut:
		err = h.put(m)
	case kindDrop:
		err = h.drop(m)
	case kindList:
		err = h.list(client)
	default:
		err = fmt.Errorf("%w: message %d", ErrProtocol, m.kind)
	}
	if m.kind != kindPut {
		sock.CloseAll(m.fds)
	}
	if err == nil {
		return client.send(kindOK, nil, nil)
	}
	if errors.Is(err, ErrProtocol) {
		return err
	}
	return client.send(kindFailed, failedBody{err.Error(), errors.Is(err, ErrInUse)}, nil)
}

// put keeps the message's descriptors, or closes them.
func (h *Holder) put(m *message) error {
	var body entryBody
	err := m.decode(kindPut, &body)
	e := Entry{Name: body.Name, Record: body.Record, Descriptors: m.fds}
	if err == nil {
		err = e.check()
	}
	if err == nil {
		err = h.keep(e)
	}
	if err != nil {
		sock.CloseAll(m.fds)
	}
	return err
}

func (h *Holder) keep(e Entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, replaced := h.entries[e.Name]
	limit := sock.DescriptorLimit()
	switch {
	case h.closed:
		return errors.New("the holder is ending")
	case !replaced && len(h.entries) >= h.options.MaxEntries:
		return fmt.Errorf("the holder is full: it has %d entries; start it with a larger limit", len(h.entries))
	case limit > 0 && h.kept+len(e.Descriptors) > limit-ownDescriptors:
		return fmt.Errorf("the holder is full: it keeps %d descriptors and may open %d; raise its RLIMIT_NOFILE", h.kept, limit)
	}
	h.forget(e.Name, old)
	h.entries[e.Name] = e
	h.kept += len(e.Descriptors)
	return nil
}

// forget closes an entry, or none. The lock is held.
func (h *Holder) forget(name string, e Entry) {
	sock.CloseAll(e.Descriptors)
	h.kept -= len(e.Descriptors)
	delete(h.entries, name)
}

func (h *Holder) drop(m *message) error {
	var body entryBody
	if err := m.decode(kindDrop, &body); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(body.Name, h.entries[body.Name])
	return nil
}

// list sends all entries. Each is duplicated for the time of its message: another
// client may drop it meanwhile.
func (h *Holder) list(client *link) error {
	if !h.alone(client) {
		return ErrInUse
	}
	h.mu.Lock()
	names := slices.Sorted(maps.Keys(h.entries))
	h.mu.Unlock()
	for _, name := range names {
		e, ok := h.duplicate(name)
		if !ok {
			continue
		}
		err := client.send(kindEntry, entryBody{e.Name, e.Record}, e.Descriptors)
		sock.CloseAll(e.Descriptors)
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *Holder) duplicate(name string) (Entry, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.entries[name]
	if !ok {
		return Entry{}, false
	}
	d, err := e.Duplicate()
	return d, err == nil
}
