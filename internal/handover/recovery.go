package handover

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// Recover makes the live connection of an entry that Enrol made in a process that
// is gone: no process may touch the sockets meanwhile. The counts go on from that
// process's; nothing waits. On an error, which is ErrUnbalanced where bytes are
// missing, the caller calls entry.Discard; otherwise the descriptors are the
// Connection's.
func Recover(entry *Entry) (Connection, error) {
	e, err := decodeEnrolment(entry)
	if err != nil {
		return Connection{}, err
	}
	c := e.Connection
	c.Stored = e.Downstream.Cookie
	down, up, err := e.balance()
	if err != nil {
		return Connection{}, fmt.Errorf("recovering connection %d: %w", c.ID, err)
	}
	c.FromDownstream = e.Connection.FromDownstream.goOn(down.Taken-e.Downstream.Position.Taken, up.FinSent)
	c.FromUpstream = e.Connection.FromUpstream.goOn(up.Taken-e.Upstream.Position.Taken, down.FinSent)
	return c, nil
}

// goOn is a flow of a process that is gone, after it has moved more bytes. A FIN
// that it has read and not passed on is there to be read again.
func (f Flow) goOn(more uint64, finSent bool) Flow {
	f.Read += more
	f.Written = f.Read
	f.Waiting = nil
	f.FinSent, f.Ended = finSent, finSent
	return f
}

// Balanced says whether all that the process that is gone has read of a connection
// it has also written, in both directions. It is false as well when one of the
// sockets has ended in both directions, or was reset: what it was then cannot be
// known. The descriptors are those of the Connection.
func (e *Enrolment) Balanced() (bool, error) {
	_, _, err := e.balance()
	if errors.Is(err, ErrUnbalanced) {
		return false, nil
	}
	return err == nil, err
}

// balance returns where the sockets are, and ErrUnbalanced unless nothing is missing.
func (e *Enrolment) balance() (down, up sock.Position, err error) {
	var errno sock.Errno
	if down, errno = sock.PositionOf(e.Connection.Downstream); errno != 0 {
		return down, up, fmt.Errorf("asking for the position of the downstream socket: %w", errno)
	}
	if up, errno = sock.PositionOf(e.Connection.Upstream); errno != 0 {
		return down, up, fmt.Errorf("asking for the position of the upstream socket: %w", errno)
	}
	if down.Closed || up.Closed {
		return down, up, fmt.Errorf("%w: a socket is closed", ErrUnbalanced)
	}
	if n := inFlight(&e.Connection.FromDownstream, &e.Downstream, &e.Upstream, down, up); n != 0 {
		return down, up, fmt.Errorf("%w: %d from the downstream", ErrUnbalanced, n)
	}
	if n := inFlight(&e.Connection.FromUpstream, &e.Upstream, &e.Downstream, up, down); n != 0 {
		return down, up, fmt.Errorf("%w: %d from the upstream", ErrUnbalanced, n)
	}
	return down, up, nil
}

// inFlight is how many bytes of a flow were in the process: those that waited at
// enrolment, and what was taken since less what was given since.
func inFlight(f *Flow, source, destination *Mark, from, to sock.Position) int64 {
	waited := int64(f.Read - f.Written)
	taken := int64(from.Taken - source.Position.Taken)
	given := int64(to.Given - destination.Position.Given)
	return waited + taken - given
}

// decodeEnrolment puts the sockets in their order, which a store need not keep.
func decodeEnrolment(entry *Entry) (*Enrolment, error) {
	e := new(Enrolment)
	if err := json.Unmarshal(entry.Record, e); err != nil {
		return nil, fmt.Errorf("the record of %s: %w", entry.Name, err)
	}
	if len(entry.Descriptors) != 2 {
		return nil, fmt.Errorf("%s has %d sockets instead of 2", entry.Name, len(entry.Descriptors))
	}
	first, errno := sock.Cookie(entry.Descriptors[0])
	second, errno2 := sock.Cookie(entry.Descriptors[1])
	switch {
	case errno != 0 || errno2 != 0:
		return nil, fmt.Errorf("%s has something else than sockets", entry.Name)
	case first == e.Downstream.Cookie && second == e.Upstream.Cookie:
		e.Connection.Downstream, e.Connection.Upstream = entry.Descriptors[0], entry.Descriptors[1]
	case second == e.Downstream.Cookie && first == e.Upstream.Cookie:
		e.Connection.Downstream, e.Connection.Upstream = entry.Descriptors[1], entry.Descriptors[0]
	default:
		return nil, fmt.Errorf("the sockets of %s are not those of its record", entry.Name)
	}
	return e, nil
}
