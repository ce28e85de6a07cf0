package handover

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/systemd"
)

// storedPrefix begins the names of what SystemdStore keeps, to tell it from
// activated sockets.
const storedPrefix = "sluice-stored."

// SystemdStore is the Store behind systemd's descriptor store
// (FileDescriptorStoreMax= in systemd.service(5); an entry counts as its sockets and
// one more). systemd keeps no records: they go into a file in memory, which it keeps
// beside the sockets under the same name. It answers nothing: an entry beyond its
// limit is lost silently, and only missing in the next process's Take.
type SystemdStore struct {
	notifier *systemd.Notifier
	passed   []systemd.Descriptor
}

// storedRecord is the file's content.
type storedRecord struct {
	Cookies []uint64 // of the sockets, in the entry's order, which systemd does not keep
	Record  []byte
}

// NewSystemdStore makes the store of what systemd has passed, which is divided: what
// was stored before, which the store owns from here on, and the rest, such as
// activated sockets, which stays the caller's.
func NewSystemdStore(n *systemd.Notifier, passed []systemd.Descriptor) (s *SystemdStore, rest []systemd.Descriptor) {
	s = &SystemdStore{notifier: n}
	for _, d := range passed {
		if strings.HasPrefix(d.Name, storedPrefix) {
			s.passed = append(s.passed, d)
		} else {
			rest = append(rest, d)
		}
	}
	return s, rest
}

// Put implements Store.
func (s *SystemdStore) Put(e Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	// systemd would keep both the old and the new ones.
	if err := s.Drop(e.Name); err != nil {
		return err
	}
	record := storedRecord{Record: e.Record}
	for _, fd := range e.Descriptors {
		cookie, errno := sock.Cookie(fd)
		if errno != 0 {
			return fmt.Errorf("%w: storing %s: SO_COOKIE of descriptor %d: %w", ErrRefused, e.Name, fd, errno)
		}
		record.Cookies = append(record.Cookies, cookie)
	}
	file, err := writeRecord(e.Name, &record)
	if err != nil {
		return err
	}
	defer file.Close()
	fds := append(slices.Clone(e.Descriptors), int(file.Fd()))
	return s.notifier.Store(storedPrefix+e.Name, fds)
}

func writeRecord(name string, record *storedRecord) (*os.File, error) {
	text, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("%w: storing %s: %w", ErrRefused, name, err)
	}
	fd, err := sock.NewMemory("sluice-record")
	if err != nil {
		return nil, fmt.Errorf("%w: storing %s: %w", ErrRefused, name, err)
	}
	file := os.NewFile(uintptr(fd), name)
	if _, err := file.Write(text); err != nil {
		file.Close()
		return nil, fmt.Errorf("%w: storing %s: %w", ErrRefused, name, err)
	}
	return file, nil
}

// Drop implements Store.
func (s *SystemdStore) Drop(name string) error { return s.notifier.Remove(storedPrefix + name) }

// Take implements Store; a second call returns nothing. Entries that are not whole
// are reset and dropped.
func (s *SystemdStore) Take() ([]Entry, error) {
	byName := make(map[string][]int)
	var names []string
	for _, d := range s.passed {
		if byName[d.Name] == nil {
			names = append(names, d.Name)
		}
		byName[d.Name] = append(byName[d.Name], d.FD)
	}
	s.passed = nil
	var all []Entry
	for _, name := range names {
		e := Entry{Name: strings.TrimPrefix(name, storedPrefix)}
		if assemble(&e, byName[name]) {
			all = append(all, e)
		} else if err := s.Drop(e.Name); err != nil {
			discardDuplicates(all)
			return nil, err
		}
	}
	return all, nil
}

// assemble puts an entry together. When it cannot, all descriptors are closed.
func assemble(e *Entry, fds []int) bool {
	sockets := make(map[uint64]int)
	var file *os.File
	for _, fd := range fds {
		cookie, errno := sock.Cookie(fd)
		switch {
		case errno == 0:
			sockets[cookie] = fd
		case file == nil:
			file = os.NewFile(uintptr(fd), e.Name)
			defer file.Close()
		default:
			sock.Close(fd)
		}
	}
	record, err := readRecord(file)
	for _, cookie := range record.Cookies {
		if fd, ok := sockets[cookie]; ok {
			e.Descriptors = append(e.Descriptors, fd)
			delete(sockets, cookie)
		}
	}
	e.Record = record.Record
	whole := err == nil && len(e.Descriptors) == len(record.Cookies) && len(sockets) == 0 && e.check() == nil
	if !whole {
		for _, fd := range sockets {
			sock.Reset(fd)
		}
		e.Discard()
	}
	return whole
}

func readRecord(file *os.File) (record storedRecord, err error) {
	if file == nil {
		return record, os.ErrNotExist
	}
	// At an offset, as the writer has left the file's position at its end.
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 2*maxEntryRecord))
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	return record, err
}

// Alive implements Store: systemd is always there.
func (s *SystemdStore) Alive() error { return nil }

// Close implements Store. What Take was not called for is closed; systemd keeps it.
// Put and Drop work after it, as long as the Notifier does.
func (s *SystemdStore) Close() error {
	for _, d := range s.passed {
		sock.Close(d.FD)
	}
	s.passed = nil
	return nil
}
