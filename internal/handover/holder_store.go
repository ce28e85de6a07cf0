package handover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

type entryBody struct {
	Name   string
	Record []byte `json:",omitempty"`
}

type failedBody struct {
	Reason string
	InUse  bool `json:",omitempty"`
}

const (
	// inUseTries is how often Take asks a holder to which another daemon is
	// connected: after a kill the holder may see that one's end a moment later.
	inUseTries = 50
	inUsePause = 100 * time.Millisecond
)

// HolderStore is the Store behind `sluice hold`. While it is open, the holder knows
// that there is a daemon. Several goroutines may use one.
type HolderStore struct {
	mu   sync.Mutex // one question at a time
	link link
}

// DialHolder connects to a Holder. The caller closes the HolderStore. After an error
// of a call other than what the holder itself has answered, dial again.
func DialHolder(ctx context.Context, path string) (*HolderStore, error) {
	conn, err := dialUnix(ctx, path)
	if err != nil {
		return nil, err
	}
	s := &HolderStore{link: link{conn, holderStep}}
	if _, err := s.link.greet(roleClient, roleHolder, &Options{}); err != nil {
		conn.Close()
		return nil, fmt.Errorf("the holder at %s: %w", path, err)
	}
	return s, nil
}

// Put implements Store.
func (s *HolderStore) Put(e Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	if err := s.ask(kindPut, entryBody{e.Name, e.Record}, e.Descriptors); err != nil {
		return fmt.Errorf("storing %s: %w", e.Name, err)
	}
	return nil
}

// Drop implements Store.
func (s *HolderStore) Drop(name string) error {
	if err := s.ask(kindDrop, entryBody{Name: name}, nil); err != nil {
		return fmt.Errorf("dropping %s from the store: %w", name, err)
	}
	return nil
}

// Alive implements Store: the holder answers.
func (s *HolderStore) Alive() error {
	if err := s.ask(kindDrop, entryBody{}, nil); err != nil { // of nothing
		return fmt.Errorf("asking whether the store is there: %w", err)
	}
	return nil
}

// Quit has the holder drop everything and end.
func (s *HolderStore) Quit() error { return s.ask(kindQuit, nil, nil) }

// Take implements Store. It waits some seconds for another daemon to go.
func (s *HolderStore) Take() ([]Entry, error) {
	all, err := s.take()
	for try := 1; errors.Is(err, ErrInUse) && try < inUseTries; try++ {
		time.Sleep(inUsePause)
		all, err = s.take()
	}
	return all, err
}

func (s *HolderStore) take() ([]Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Entry
	err := s.link.send(kindList, nil, nil)
	for more := true; more && err == nil; {
		var e Entry
		if e, more, err = s.nextEntry(); more {
			all = append(all, e)
		}
	}
	if err != nil {
		discardDuplicates(all)
		return nil, fmt.Errorf("asking the holder for what it has: %w", err)
	}
	return all, nil
}

// nextEntry receives an entry; more is false after the last one.
func (s *HolderStore) nextEntry() (e Entry, more bool, err error) {
	m, err := s.link.receive(holderStep)
	if err != nil {
		return Entry{}, false, err
	}
	if m.kind != kindEntry {
		return Entry{}, false, m.verdict()
	}
	var body entryBody
	err = m.decode(kindEntry, &body)
	e = Entry{Name: body.Name, Record: body.Record, Descriptors: m.fds}
	if err == nil {
		err = e.check()
	}
	if err != nil {
		discardDuplicates([]Entry{e})
		return Entry{}, false, err
	}
	return e, true, nil
}

// Close implements Store.
func (s *HolderStore) Close() error { return s.link.conn.Close() }

// ask sends a question and waits for OK.
func (s *HolderStore) ask(k kind, body any, fds []int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.link.send(k, body, fds); err != nil {
		return err
	}
	m, err := s.link.receive(holderStep)
	if err != nil {
		return err
	}
	return m.verdict()
}

// verdict is the holder's answer.
func (m *message) verdict() error {
	sock.CloseAll(m.fds)
	switch m.kind {
	case kindOK:
		return nil
	case kindFailed:
		var body failedBody
		if err := m.decode(kindFailed, &body); err != nil {
			return err
		}
		if body.InUse {
			return ErrInUse
		}
		return fmt.Errorf("%w: %s", ErrRefused, body.Reason)
	}
	return fmt.Errorf("%w: message %d for an answer", ErrProtocol, m.kind)
}

// discardDuplicates closes what the store still has.
func discardDuplicates(entries []Entry) {
	for i := range entries {
		sock.CloseAll(entries[i].Descriptors)
	}
}
