package handover

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// Kinds of listening sockets.
const (
	Traffic   = "traffic"   // of a configured listener
	Admin     = "admin"     // and the ports beside them
	Metrics   = "metrics"   //
	Readiness = "readiness" //
)

// ListenerSocket is a listening socket while it is between two processes. Its
// queue of connections goes with it: both processes have the same socket.
type ListenerSocket struct {
	Listener string // by name
	Address  netip.AddrPort
	Loop     int // that accepts from it, as listeners have one for each
	Kind     string
	Kept     bool `json:",omitempty"` // the service manager has it too, and keeps it

	// FD travels beside the record. Whoever has the ListenerSocket owns it.
	FD int `json:"-"`
}

// listenerPrefix begins the names of entries that are listening sockets.
const listenerPrefix = "listener-"

// ListenerName is the name under which the listening socket with this cookie is
// stored.
func ListenerName(cookie uint64) string { return fmt.Sprintf("%s%d", listenerPrefix, cookie) }

// EnrolListener makes the store's entry of a listening socket, so that who waits in
// its queue outlives this process. The entry has the socket's own descriptor.
func EnrolListener(l *ListenerSocket) (Entry, error) {
	cookie, errno := sock.Cookie(l.FD)
	if errno != 0 {
		return Entry{}, fmt.Errorf("enrolling listener %s: SO_COOKIE: %w", l.Listener, errno)
	}
	record, err := json.Marshal(l)
	if err != nil {
		return Entry{}, fmt.Errorf("enrolling listener %s: %w", l.Listener, err)
	}
	return Entry{Name: ListenerName(cookie), Record: record, Descriptors: []int{l.FD}}, nil
}

// IsListener says whether an entry is of EnrolListener, and not of Enrol.
func (e *Entry) IsListener() bool { return strings.HasPrefix(e.Name, listenerPrefix) }

// RecoverListener makes the listening socket of an entry that EnrolListener made,
// whoever uses it meanwhile. The descriptor is the ListenerSocket's; on an error it is
// still the entry's.
func RecoverListener(entry *Entry) (ListenerSocket, error) {
	var l ListenerSocket
	if err := json.Unmarshal(entry.Record, &l); err != nil {
		return ListenerSocket{}, fmt.Errorf("the record of %s: %w", entry.Name, err)
	}
	if len(entry.Descriptors) != 1 {
		return ListenerSocket{}, fmt.Errorf("%s has %d sockets instead of 1", entry.Name, len(entry.Descriptors))
	}
	cookie, errno := sock.Cookie(entry.Descriptors[0])
	if errno != 0 || ListenerName(cookie) != entry.Name {
		return ListenerSocket{}, fmt.Errorf("the socket of %s is not that of its name", entry.Name)
	}
	if sock.Deaf(entry.Descriptors[0]) {
		return ListenerSocket{}, fmt.Errorf("%s was about to be closed", entry.Name)
	}
	if errno := sock.NonBlocking(entry.Descriptors[0]); errno != 0 {
		return ListenerSocket{}, fmt.Errorf("%s: O_NONBLOCK: %w", entry.Name, errno)
	}
	l.FD = entry.Descriptors[0]
	return l, nil
}
