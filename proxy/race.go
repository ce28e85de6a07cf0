package proxy

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// raceDelay is the head start of an address before the next one is tried beside
// it (RFC 8305, section 5, and Envoy's happy eyeballs).
const raceDelay = 300 * time.Millisecond

// race is an attempt to reach an endpoint that has several addresses, IPv6 and
// IPv4 in turn (RFC 8305): whichever answers first is taken. At most two are
// being connected at a time, the newer one as the connection's upstream socket.
type race struct {
	left  []netip.AddrPort // not dialled yet
	rival entrant
}

// entrant is a socket that is being connected.
type entrant struct {
	fd             int // -1: none
	watch          eventloop.Watch
	address, local netip.AddrPort
	noted          bool
}

// newRace is nil for an endpoint with one address.
func newRace(ep cluster.Endpoint) *race {
	others := ep.Others()
	if len(others) == 0 {
		return nil
	}
	return &race{left: others, rival: entrant{fd: -1}}
}

// next lets the attempt go on to the next address; false: there is none.
func (r *race) next(d *dialling) bool {
	if r == nil || len(r.left) == 0 {
		return false
	}
	d.endpoint.Address, r.left = r.left[0], r.left[1:]
	d.local, d.noted = netip.AddrPort{}, false
	return true
}

// running says whether a second socket is being connected.
func (r *race) running() bool { return r != nil && r.rival.fd >= 0 }

// startDialTimer waits for connect_timeout, or for the next address's turn.
func (c *Connection) startDialTimer() {
	d := &c.dialling
	wait := time.Duration(d.began + int64(c.cluster().ConnectTimeout()) - c.loop().Now())
	if d.race != nil && len(d.race.left) > 0 && !d.race.running() {
		wait = min(wait, raceDelay)
	}
	c.loop().StartTimer(&c.timer, max(wait, 0), c)
}

// dialAnother lets the next address run beside the one that does not answer.
// False means that the attempt's time is over.
func (c *Connection) dialAnother() bool {
	d := &c.dialling
	if c.loop().Now() >= d.began+int64(c.cluster().ConnectTimeout()) || d.race == nil {
		return false
	}
	waiting, tag := c.entrant(), d.tag
	for d.race.next(d) {
		c.fds[relay.Upstream], c.watches[upstream] = -1, 0
		d.tag = upstream + rival - tag
		if c.dialAddress() == nil {
			d.race.rival = waiting
			c.startDialTimer()
			return true
		}
	}
	c.enter(waiting, tag)
	c.startDialTimer()
	return true
}

// entrant is the connection's upstream socket.
func (c *Connection) entrant() entrant {
	d := &c.dialling
	return entrant{c.fds[relay.Upstream], c.watches[upstream], d.endpoint.Address, d.local, d.noted}
}

// enter makes e the connection's upstream socket.
func (c *Connection) enter(e entrant, tag uint32) {
	d := &c.dialling
	c.fds[relay.Upstream], c.watches[upstream] = e.fd, e.watch
	d.endpoint.Address, d.local, d.noted, d.tag = e.address, e.local, e.noted, tag
}

// addressFailed goes on with what else the attempt has.
func (c *Connection) addressFailed(err error) {
	d := &c.dialling
	if d.race.running() {
		c.closeUpstream()
		waiting := d.race.rival
		d.race.rival.fd = -1
		c.enter(waiting, upstream+rival-d.tag)
		if c.dialAnother() {
			return
		}
		c.dialTimedOut()
		return
	}
	if d.race == nil || len(d.race.left) == 0 {
		c.tryNext(err)
		return
	}
	c.closeUpstream()
	for d.race.next(d) {
		if err = c.dialAddress(); err == nil {
			c.startDialTimer()
			return
		}
	}
	c.attemptFailed(err)
	c.dial()
}

// rivalDialled hears how the older of two sockets did.
func (c *Connection) rivalDialled(events uint32) {
	d := &c.dialling
	if !d.race.running() {
		return
	}
	failed := events&(sock.Failed|sock.Hangup) != 0 && sock.TakeError(d.race.rival.fd) != 0
	switch {
	case failed:
		c.dropRival()
		c.startDialTimer()
	case events&sock.Writable != 0:
		newer, tag := c.entrant(), d.tag
		c.enter(d.race.rival, upstream+rival-tag)
		d.race.rival = newer
		c.dialled(events)
	}
}

// dropRival closes the second socket, if there is one.
func (c *Connection) dropRival() {
	d := &c.dialling
	if !d.race.running() {
		return
	}
	e := &d.race.rival
	sock.Reset(e.fd)
	c.loop().Forget(e.watch)
	if e.noted {
		c.worker.around.Guard.Closed(e.local, e.address)
	}
	e.fd = -1
}
