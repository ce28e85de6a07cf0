package proxy

import (
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/outlier"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// patience waits for the first byte of an endpoint, for outlier detection: a
// sidecar in front of an application accepts every connection, and then shows
// only by silence or an early close that there is nobody behind it.
type patience struct {
	waiting bool  // no byte has come, and somebody wants to know
	asked   int64 // loop time at which bytes of the client were given to the endpoint; 0: none yet
}

// expect begins to wait, where the cluster wants it.
func (c *Connection) expect() {
	p := c.cluster().Patience()
	c.patience = patience{waiting: p.EarlyClose > 0 || p.FirstByte > 0}
}

// look sees whether bytes have moved since the last time.
func (c *Connection) look() {
	p := &c.patience
	switch {
	case c.relay.Read(relay.Upstream) > 0:
		p.waiting = false
		c.cluster().Report(c.dialling.endpoint, outlier.FirstByte)
	case c.endedEarly():
		p.waiting = false
		c.cluster().Report(c.dialling.endpoint, outlier.EarlyClose)
	case p.asked == 0 && c.relay.Written(relay.Upstream) > 0:
		p.asked = c.loop().Now()
		c.arm()
	}
}

// endedEarly says that the endpoint's FIN was the first thing that came, and
// soon. The client may leave its own side open for hours after that.
func (c *Connection) endedEarly() bool {
	end := c.relay.End()
	return end.By == relay.Upstream && end.Cause == relay.Fin && c.withinEarlyClose()
}

// withinEarlyClose says that the time for early closes is not over.
func (c *Connection) withinEarlyClose() bool {
	limit := c.cluster().Patience().EarlyClose
	return limit > 0 && c.loop().Now()-c.connected <= int64(limit)
}

// answerDue is the loop time until which the first byte has to come; false:
// none.
func (c *Connection) answerDue() (at int64, ok bool) {
	if !c.patience.waiting || c.patience.asked == 0 {
		return 0, false
	}
	limit := c.cluster().Patience().FirstByte
	return c.patience.asked + int64(limit), limit > 0
}

// lookAtClock reports an answer that is overdue, once. The connection goes on:
// some answers are slow.
func (c *Connection) lookAtClock() {
	if at, ok := c.answerDue(); ok && c.loop().Now() >= at {
		c.patience.waiting = false
		c.cluster().Report(c.dialling.endpoint, outlier.FirstByteTimeout)
	}
}

// lookAtEnd reports a connection that the endpoint has ended without a byte,
// and soon.
func (c *Connection) lookAtEnd() {
	if !c.patience.waiting {
		return
	}
	c.look()
	if c.patience.waiting && c.withinEarlyClose() && c.outcome.closedBy == accesslog.ByUpstream {
		c.cluster().Report(c.dialling.endpoint, outlier.EarlyClose)
	}
	c.patience.waiting = false
}
