package backend

import (
	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
)

// conn is one connection; kind is 0 until its Hello has come.
type conn struct {
	w     *worker
	fd    int
	watch eventloop.Watch
	place int // in w.conns

	kind     Kind
	writable bool // room to write is reported
	size     int
	kept     []byte // of an Echo: whole requests to be answered, then the beginning of one; earlier the beginning of a Hello
	unsent   int    // bytes of kept that are whole requests

	timer eventloop.Timer
	rate  uint64
	since int64 // when a paced source began
	sent  uint64
}

// OnEvents reads, answers and writes.
func (c *conn) OnEvents(_, events uint32) {
	switch c.kind {
	case 0:
		c.greet(events)
	case Echo:
		c.echo(events)
	default:
		c.stream(events)
	}
}

// OnTimer sends what a paced source owes.
func (c *conn) OnTimer() { c.paced() }

// OnPanic ends the process.
func (c *conn) OnPanic(value any, stack []byte) { crash(value, stack) }

// greet reads up to and with the Hello.
func (c *conn) greet(events uint32) {
	have := copy(c.w.buffer, c.kept)
	n, errno := sock.Read(c.fd, c.w.buffer[have:echoBuffer])
	if errno == sock.EAGAIN {
		return
	}
	if errno != 0 || n == 0 {
		c.w.remove(c)
		return
	}
	data := c.w.buffer[:have+n]
	if len(data) < HelloSize {
		c.keep(data)
		c.w.loop.Again(c.watch, events)
		return
	}
	c.keep(nil)
	hello, ok := parse(data)
	if !ok {
		c.w.stats.Strangers++
		c.w.remove(c)
		return
	}
	c.kind, c.size, c.rate = hello.Kind, int(hello.Size), hello.Rate
	if c.kind == Echo {
		// Once more after the first request: the FIN may be there too.
		if c.answer(data[HelloSize:]) && (events&(sock.PeerShut|sock.Hangup) != 0 || have+n == echoBuffer) {
			c.echo(events)
		}
		return
	}
	c.startStream(events)
}

// echo answers all that is there.
func (c *conn) echo(events uint32) {
	for {
		if c.unsent > 0 && !c.flush() {
			return
		}
		buf := c.w.buffer[:echoBuffer]
		if have := len(c.kept); have > 0 {
			buf = c.kept[have:cap(c.kept)]
		}
		n, errno := sock.Read(c.fd, buf)
		if errno == sock.EAGAIN {
			return
		}
		if errno != 0 || n == 0 {
			c.w.remove(c)
			return
		}
		if !c.answer(c.with(buf[:n])) {
			return
		}
		// A short read took all there was; only a FIN may be behind it.
		if n < len(buf) && events&(sock.PeerShut|sock.Hangup) == 0 {
			return
		}
	}
}

// with is what was kept together with what was read behind it.
func (c *conn) with(data []byte) []byte {
	if have := len(c.kept); have > 0 {
		return c.kept[:have+len(data)]
	}
	return data
}

// answer sends the whole requests of data back and keeps the rest. It is false
// when no more can be answered now.
func (c *conn) answer(data []byte) bool {
	whole := len(data)
	if c.size <= echoBuffer {
		whole -= whole % c.size
	}
	n := 0
	if whole > 0 {
		var errno sock.Errno
		if n, errno = sock.Write(c.fd, data[:whole]); errno != 0 && errno != sock.EAGAIN {
			c.w.remove(c)
			return false
		}
	}
	c.unsent = whole - n
	c.keep(data[n:])
	return c.unsent == 0 || c.waitForRoom()
}

// flush writes what answer could not.
func (c *conn) flush() bool {
	n, errno := sock.Write(c.fd, c.kept[:c.unsent])
	if errno == sock.EAGAIN {
		return false
	}
	if errno != 0 {
		c.w.remove(c)
		return false
	}
	c.unsent -= n
	c.keep(c.kept[n:])
	return c.unsent == 0
}

// keep stores what cannot be dealt with yet, in a buffer that the connection
// has only as long as it needs it. rest may be a part of that buffer.
func (c *conn) keep(rest []byte) {
	if len(rest) == 0 {
		if c.kept != nil {
			c.w.kept = append(c.w.kept, c.kept)
			c.kept = nil
		}
		return
	}
	if c.kept == nil {
		c.kept = c.w.takeKept()
	}
	c.kept = c.kept[:copy(c.kept[:cap(c.kept)], rest)]
}

// waitForRoom has room to write reported from now on. It is always false.
func (c *conn) waitForRoom() bool {
	if !c.writable {
		c.writable = true
		c.w.loop.Change(c.watch, c.fd, sock.Readable|sock.Writable|sock.PeerShut|sock.EdgeTriggered)
	}
	return false
}
