package handover

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// Store keeps duplicates of descriptors outside of this process, so that sockets
// survive its crash. There are two: that of systemd (SystemdStore) and our own
// process (HolderStore). Calls wait for another process: none is made on an event
// loop. An error that is neither ErrRefused nor ErrInUse says that the store is gone.
//
// While a store has a socket, closing it here sends nothing to the peer: FIN or RST
// goes out when the store has dropped it, unless they are sent before by CloseWrite
// or Disconnect of package sock. Drop at once what is closed.
type Store interface {
	// Put keeps duplicates of the entry's descriptors, in place of what has its
	// name. The caller keeps its own; they may be closed when Put returns. On
	// ErrRefused this entry is not kept; others can be.
	Put(Entry) error
	// Drop closes what is kept under a name; nothing is no error.
	Drop(name string) error
	// Take returns what is kept. The caller owns the descriptors; the store keeps
	// its duplicates until Drop. On ErrInUse another daemon relays what is kept.
	Take() ([]Entry, error)
	// Alive is an error when the store is gone, as far as that can be known.
	Alive() error
	// Close ends the use of the store, which keeps what it has.
	Close() error
}

var (
	// ErrRefused is an entry that a store does not keep: it is full, or the entry is
	// not as it must be.
	ErrRefused = errors.New("the store has refused")

	// ErrInUse is a store whose entries belong to a daemon that lives.
	ErrInUse = errors.New("another daemon is connected to the store; end it, or take over from it")
)

// Entry is what a Store keeps under a name.
type Entry struct {
	Name        string // 1 to 200 letters, digits, ".", "-" and "_"
	Record      []byte // at most 16 KiB
	Descriptors []int  // 1 to 4 sockets
}

// Bounds of an entry.
const (
	maxEntryName        = 200
	maxEntryRecord      = 16 << 10
	maxEntryDescriptors = 4
)

func (e *Entry) check() error {
	switch {
	case !plainName(e.Name):
		return fmt.Errorf("%w: %q cannot be the name of an entry: 1 to %d letters, digits, '.', '-' and '_'", ErrRefused, e.Name, maxEntryName)
	case len(e.Record) > maxEntryRecord:
		return fmt.Errorf("%w: the record of %s has %d bytes; %d are the most", ErrRefused, e.Name, len(e.Record), maxEntryRecord)
	case len(e.Descriptors) == 0 || len(e.Descriptors) > maxEntryDescriptors:
		return fmt.Errorf("%w: %s has %d descriptors; 1 to %d can be kept", ErrRefused, e.Name, len(e.Descriptors), maxEntryDescriptors)
	}
	return nil
}

func plainName(name string) bool {
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_') {
			return false
		}
	}
	return name != "" && len(name) <= maxEntryName
}

// Discard closes an entry's sockets with a reset: what cannot be taken up must not
// look like an end.
func (e *Entry) Discard() {
	for _, fd := range e.Descriptors {
		sock.Reset(fd)
	}
	e.Descriptors = nil
}

// Duplicate is the entry with descriptors of its own, which the caller closes: for a
// Put on another thread than the one that may close the connection meanwhile.
func (e *Entry) Duplicate() (Entry, error) {
	d := Entry{Name: e.Name, Record: slices.Clone(e.Record)}
	for _, fd := range e.Descriptors {
		duplicate, errno := sock.Duplicate(fd)
		if errno != 0 {
			sock.CloseAll(d.Descriptors)
			return Entry{}, fmt.Errorf("duplicating the descriptors of %s: %w", e.Name, errno)
		}
		d.Descriptors = append(d.Descriptors, duplicate)
	}
	return d, nil
}
