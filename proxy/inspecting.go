package proxy

import (
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// firstPeek is how many bytes a worker peeks at first; it has room for more
// when a connection fills that.
const firstPeek = 4 << 10

// inspect waits for the first bytes of a connection where they can change which
// chain takes it, and otherwise goes on at once.
func (c *Connection) inspect() {
	facts := listener.Facts{Destination: c.destination, DirectSource: c.peer.Addr(), Source: c.source}
	counters := &c.worker.around.Inspections
	switch {
	case !c.listener.Filtered():
		c.choose(&facts)
		return
	case !c.listener.NeedsInspection(&facts):
		c.shard().Inc(counters.Skipped)
		c.choose(&facts)
		return
	}
	c.shard().Inc(counters.Needed)
	c.inspection = c.listener.Inspect(facts)
	if !c.worker.around.Limits.TakePending() {
		c.shard().Inc(c.listener.Stats.CxOverflow)
		c.outcome.details = string(listener.TooManyPending)
		c.fail(accesslog.Overflow, 0)
		return
	}
	c.state = inspecting
	c.shard().Move(c.listener.Stats.PreCxActive, 1)
	if timeout := c.listener.InspectionTimeout(); timeout > 0 {
		c.loop().StartTimer(&c.timer, timeout, c)
	}
}

// peek looks at what has come so far. Bytes stay in the kernel: a connection
// that waits owns no buffer.
func (c *Connection) peek() {
	stream, errno := c.worker.peek(c.fds[relay.Downstream], c.listener.MostInspected())
	if errno != 0 && errno != sock.EAGAIN {
		c.outcome.errno = errno
		c.clientLeft()
		return
	}
	ended := c.early&(sock.PeerShut|sock.Hangup) != 0 || errno == 0 && len(stream) == 0
	c.advance(c.inspection.Look(stream, ended, &c.worker.scratch))
}

// advance does what an inspection wants next.
func (c *Connection) advance(progress listener.Progress) {
	switch progress {
	case listener.InspectionFailed:
		c.shard().Inc(c.worker.around.Inspections.Failed)
		c.outcome.details = string(c.inspection.Reason)
		if c.inspection.Reason == listener.EndedEarly {
			c.outcome.closedBy = accesslog.ByDownstream
		}
		c.fail(accesslog.InspectionFailed, 0)
	case listener.InspectionDone:
		c.leaveInspection()
		c.inspected()
	}
}

// inspected takes the PROXY header off, believes what it says, and goes on.
func (c *Connection) inspected() {
	in := c.inspection
	if in.Header > 0 {
		if n, errno := c.worker.discard(c.fds[relay.Downstream], in.Header); n != in.Header {
			c.outcome.errno = errno
			c.fail(accesslog.SocketError, 0)
			return
		}
	}
	if in.Moved() {
		c.source, c.destination = in.Facts.Source, in.Facts.Destination
		// The header could name one of our own ports; dialling that would lead
		// back here, again and again.
		if c.worker.around.Guard.OwnPort(c.destination) {
			c.refuse(listener.LoopGuard)
			return
		}
	}
	c.choose(&in.Facts)
}

// inspectionTimedOut hears that the filters have had their time. What has come
// since the last look still counts: its event may wait behind those of others, and
// a ClientHello must not be passed on as raw_buffer because the loop was busy.
func (c *Connection) inspectionTimedOut() {
	if c.peek(); c.state != inspecting {
		return
	}
	c.shard().Inc(c.listener.Stats.PreCxTimeout)
	c.shard().Inc(c.worker.around.Inspections.TimedOut)
	c.advance(c.inspection.Expire())
}

// leaveInspection gives back what waiting held.
func (c *Connection) leaveInspection() {
	if c.state != inspecting {
		return
	}
	c.state = opening
	c.loop().StopTimer(&c.timer)
	c.shard().Move(c.listener.Stats.PreCxActive, -1)
	c.worker.around.Limits.ReleasePending()
}

// peek returns what waits in a socket, up to most bytes, until the next peek.
func (w *Worker) peek(fd, most int) ([]byte, sock.Errno) {
	if w.peeked == nil {
		w.peeked = make([]byte, firstPeek)
	}
	for {
		n, errno := sock.Peek(fd, w.peeked[:min(len(w.peeked), most)])
		if errno != 0 || n < len(w.peeked) || n == most {
			return w.peeked[:n], errno
		}
		w.peeked = make([]byte, min(2*len(w.peeked), most))
	}
}

// discard reads n bytes that are known to wait in a socket, and forgets them.
func (w *Worker) discard(fd, n int) (done int, errno sock.Errno) {
	for done < n {
		var m int
		if m, errno = sock.Read(fd, w.peeked[:min(n-done, len(w.peeked))]); m == 0 {
			break
		}
		done += m
	}
	return done, errno
}
