package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// ErrUnbalanced is a connection that cannot go on, because a process died that had
// bytes of it in its memory or in a pipe. It must be reset.
var ErrUnbalanced = errors.New("bytes were lost with the process that relayed the connection")

// Enrolment is a connection with what the kernel counted for both its sockets at
// one moment. It stays true for the connection's life: nothing is written per byte.
//
// In each direction, what was read from the one socket and not written to the other
// was on the way through the process. Its amount at enrolment is known. The kernel
// goes on counting, and the counts outlive the process: when it is gone, the two
// have grown alike, or bytes are missing.
type Enrolment struct {
	Connection Connection // without Waiting
	Downstream Mark
	Upstream   Mark
}

// Mark is how far a socket was, and which one it is.
type Mark struct {
	Cookie   uint64
	Position sock.Position
}

// Enrol makes the store's entry of a live connection. The thread that relays it
// calls it, at any moment: Read and Written of its flows must be up to date. What
// the proxy itself has written or read, such as a PROXY header, does not disturb.
// The entry has the connection's own descriptors. Stored is set.
func Enrol(c *Connection) (Entry, error) {
	e := Enrolment{Connection: *c}
	e.Connection.FromDownstream.Waiting, e.Connection.FromUpstream.Waiting = nil, nil
	var err error
	if e.Downstream, err = markOf(c.Downstream); err == nil {
		e.Upstream, err = markOf(c.Upstream)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("enrolling connection %d: %w", c.ID, err)
	}
	record, err := json.Marshal(&e)
	if err != nil {
		return Entry{}, fmt.Errorf("enrolling connection %d: %w", c.ID, err)
	}
	c.Stored = e.Downstream.Cookie
	return Entry{Name: EntryName(c.Stored), Record: record, Descriptors: []int{c.Downstream, c.Upstream}}, nil
}

// EntryName is the name under which the connection is stored whose downstream socket
// has this cookie. It is the same in every process that has the connection: the next
// one can drop what this one has put.
func EntryName(cookie uint64) string { return fmt.Sprint(connectionPrefix, cookie) }

// EntryCookie is the cookie in a name of EntryName; 0: it is not one.
func EntryCookie(name string) uint64 {
	digits, ok := strings.CutPrefix(name, connectionPrefix)
	cookie, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil {
		return 0
	}
	return cookie
}

const connectionPrefix = "connection-"

func markOf(fd int) (Mark, error) {
	cookie, errno := sock.Cookie(fd)
	if errno != 0 {
		return Mark{}, fmt.Errorf("SO_COOKIE of descriptor %d: %w", fd, errno)
	}
	position, errno := sock.PositionOf(fd)
	if errno != 0 {
		return Mark{}, fmt.Errorf("TCP_INFO of descriptor %d: %w", fd, errno)
	}
	if position.Closed {
		return Mark{}, fmt.Errorf("descriptor %d: %w", fd, sock.ENOTCONN)
	}
	return Mark{cookie, position}, nil
}
