package backend

import (
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

const (
	turns     = 16                    // reads or writes before other connections have their turn
	paceEvery = 20 * time.Millisecond // writes of a paced source
)

func (c *conn) startStream(events uint32) {
	if c.kind == Source && c.rate > 0 {
		c.since = c.w.loop.Now()
		c.w.loop.StartTimer(&c.timer, paceEvery, c)
	} else if c.kind != Sink {
		c.waitForRoom()
	}
	c.stream(events | sock.Readable)
}

// stream reads and writes in turns.
func (c *conn) stream(events uint32) {
	again := uint32(0)
	if events&(sock.Readable|sock.PeerShut|sock.Hangup|sock.Failed) != 0 {
		more, alive := c.discard(events)
		if !alive {
			return
		}
		if more {
			again |= sock.Readable
		}
	}
	if events&sock.Writable != 0 && c.kind != Sink && c.rate == 0 {
		more, alive := c.give()
		if !alive {
			return
		}
		if more {
			again |= sock.Writable
		}
	}
	if again != 0 {
		c.w.loop.Again(c.watch, again|events&sock.PeerShut)
	}
}

// discard reads what is there. A FIN ends the connection, also that of a
// source: nobody reads any more.
func (c *conn) discard(events uint32) (more, alive bool) {
	for range turns {
		n, errno := sock.Read(c.fd, c.w.buffer)
		if errno == sock.EAGAIN {
			return false, true
		}
		if errno != 0 || n == 0 {
			c.w.remove(c)
			return false, false
		}
		if n < len(c.w.buffer) && events&(sock.PeerShut|sock.Hangup) == 0 {
			return false, true
		}
	}
	return true, true
}

// give writes as much as is taken.
func (c *conn) give() (more, alive bool) {
	for range turns {
		n, errno := sock.Write(c.fd, c.w.payload)
		if errno == sock.EAGAIN {
			return false, true
		}
		if errno != 0 {
			c.w.remove(c)
			return false, false
		}
		if n < len(c.w.payload) {
			return false, true
		}
	}
	return true, true
}

// paced writes what has become due. A client that takes less than it asked for
// does not get it later, beyond one buffer.
func (c *conn) paced() {
	elapsed := time.Duration(c.w.loop.Now() - c.since).Seconds()
	due := uint64(elapsed*float64(c.rate)) - c.sent
	if due > uint64(len(c.w.payload)) {
		c.sent += due - uint64(len(c.w.payload))
		due = uint64(len(c.w.payload))
	}
	if due > 0 {
		n, errno := sock.Write(c.fd, c.w.payload[:due])
		if errno != 0 && errno != sock.EAGAIN {
			c.w.remove(c)
			return
		}
		c.sent += uint64(n)
	}
	c.w.loop.StartTimer(&c.timer, paceEvery, c)
}
