package proxy

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// mostAsked bounds how many endpoints one connection asks whether they are full:
// thousands of full ones would stop the loop for those who are served.
const mostAsked = 256

// dialling is a connection's search for an endpoint that answers.
type dialling struct {
	tried    cluster.Tried
	attempts int
	endpoint cluster.Endpoint
	local    netip.AddrPort // of the upstream socket; invalid until somebody has to know, see upstreamLocal
	noted    bool           // the guard knows of the upstream connection
	claimed  bool           // the downstream connection is noted, see claim
	began    int64          // loop time of the current attempt
	timedOut bool           // the last failed one
	tag      uint32         // of the upstream socket's watch, upstream or rival
	race     *race          // nil: the endpoint has one address

	admitted bool // holds places under the circuit breakers
	progress cluster.Progress
}

// failure is how the last attempt failed.
func (d *dialling) failure() cluster.Failure {
	if d.timedOut {
		return cluster.TimedOut
	}
	return cluster.Refused
}

// dial tries endpoints until one is being connected, and gives up when none is
// left or there were enough attempts.
func (c *Connection) dial() {
	d := &c.dialling
	c.state = opening
	full := cluster.Admitted
	for d.attempts < c.chain.attempts {
		endpoint, ok := c.pick()
		if !ok {
			break
		}
		if refusal := c.cluster().Admit(endpoint); refusal != cluster.Admitted {
			if full = refusal; refusal == cluster.EndpointFull && d.tried.Len() < mostAsked {
				continue
			}
			break
		}
		d.admitted, d.progress = true, cluster.Dialling
		d.attempts++
		d.endpoint, d.local, d.noted, d.began = endpoint, netip.AddrPort{}, false, c.loop().Now()
		d.timedOut = false
		d.tag, d.race = upstream, newRace(endpoint)
		c.countDial()
		if c.dialEndpoint() {
			return
		}
	}
	switch {
	case full == cluster.Admitted, full == cluster.EndpointFull && d.attempts > 0:
		c.giveUp() // the endpoint that failed is the reason, and not those that are full
	default:
		c.overflow(full)
	}
}

// pick chooses the endpoint of the next attempt.
func (c *Connection) pick() (cluster.Endpoint, bool) {
	q := cluster.Query{Original: c.destination, Tried: &c.dialling.tried}
	if c.chain.hashSource {
		q.Client = c.source.Addr()
	}
	choice, ok := c.cluster().Pick(&q)
	if choice.Panic {
		c.shard().Inc(c.cluster().Stats.HealthyPanic)
	}
	return choice.Endpoint, ok
}

// overflow resets a connection for which circuit_breakers leave no room.
func (c *Connection) overflow(refusal cluster.Refusal) {
	counters := &c.cluster().Stats
	if refusal == cluster.PendingFull {
		c.shard().Inc(counters.PendingOverflow)
	} else {
		c.shard().Inc(counters.Overflow)
	}
	c.outcome.details = refusal.String()
	c.fail(accesslog.Overflow, accesslog.UpstreamOverflow)
}

// dialEndpoint starts one attempt; when that fails at once, all is as before it.
func (c *Connection) dialEndpoint() bool {
	err := c.dialAddress()
	for err != nil && c.dialling.race.next(&c.dialling) {
		err = c.dialAddress()
	}
	if err != nil {
		c.attemptFailed(err)
		return false
	}
	c.state = connecting
	c.startDialTimer()
	return true
}

// dialAddress starts connecting to the address that the attempt has come to.
// With an error there is no upstream socket.
func (c *Connection) dialAddress() error {
	d := &c.dialling
	fd, err := c.connect()
	if err != nil {
		return err
	}
	c.fds[relay.Upstream] = fd
	watch, errno := c.loop().Watch(fd, interest, c, d.tag)
	if errno != 0 {
		c.closeUpstream()
		return fmt.Errorf("watching the socket to %s: %w", d.endpoint.Address, errno)
	}
	c.watches[upstream] = watch
	return nil
}

// connect makes the upstream socket and notes its addresses.
//
// Under a client's own address the kernel may choose a port from which that
// client has a connection to the same destination already: it knows only its
// own sockets' ports. To TCP both would be one connection, and end each other.
// So the clients' connections are noted too, and such a port is not claimed.
func (c *Connection) connect() (int, error) {
	d, guard := &c.dialling, c.worker.around.Guard
	origin := cluster.Origin{Client: c.source.Addr(), OnHost: guard.Hosts.Has(d.endpoint.Address.Addr()), Descriptors: c.worker.relays.Descriptors()}
	if !c.cluster().Transparent() {
		return c.connectPlainly(origin)
	}
	if !d.claimed {
		d.claimed = guard.Claim(c.peer, c.destination, c.trail)
	}
	origin.Claim = func(source netip.AddrPort) bool {
		d.local = source
		d.noted = guard.Claim(source, d.endpoint.Address, c.trail)
		return d.noted
	}
	fd, err := c.cluster().Dial(d.endpoint, origin)
	if err != nil {
		c.forgetNote()
	}
	return fd, err
}

// connectPlainly is connect without transparent_source. Neither the guard nor
// getsockname is bothered for a connection that nobody asks about.
func (c *Connection) connectPlainly(origin cluster.Origin) (int, error) {
	d, guard := &c.dialling, c.worker.around.Guard
	note := guard.Concerns(d.endpoint.Address)
	if note {
		guard.Begin(d.endpoint.Address)
	}
	fd, err := c.cluster().Dial(d.endpoint, origin)
	if err != nil {
		if note {
			guard.Failed(d.endpoint.Address)
		}
		return -1, err
	}
	if note || c.chain.log.Active() {
		d.local = sock.LocalAddr(fd)
	}
	if note {
		guard.Landed(d.local, d.endpoint.Address, c.trail)
		d.noted = true
	}
	return fd, nil
}

// upstreamLocal is the address of the upstream socket; invalid without one.
func (c *Connection) upstreamLocal() netip.AddrPort {
	if d := &c.dialling; !d.local.IsValid() && c.fds[relay.Upstream] >= 0 {
		d.local = sock.LocalAddr(c.fds[relay.Upstream])
	}
	return c.dialling.local
}

// forgetNote takes back what the guard was told of the upstream connection.
func (c *Connection) forgetNote() {
	if d := &c.dialling; d.noted {
		c.worker.around.Guard.Closed(d.local, d.endpoint.Address)
		d.noted = false
	}
}

// unclaim forgets what connect noted of the downstream connection.
func (c *Connection) unclaim() {
	if c.dialling.claimed {
		c.worker.around.Guard.Closed(c.peer, c.destination)
		c.dialling.claimed = false
	}
}

// dialled hears how the current attempt went.
func (c *Connection) dialled(events uint32) {
	d := &c.dialling
	if events&(sock.Failed|sock.Hangup) != 0 {
		if errno := sock.TakeError(c.fds[relay.Upstream]); errno != 0 {
			c.addressFailed(&sock.Error{Op: "connect", Addr: d.endpoint.Address, Errno: errno})
			return
		}
	}
	if events&sock.Writable == 0 {
		return
	}
	c.dropRival()
	if err := c.introduce(); err != nil {
		c.tryNext(err)
		return
	}
	c.loop().StopTimer(&c.timer)
	c.countConnected()
	c.outcome.failure = nil
	c.startRelay(events)
}

// tryNext gives up an attempt that has a socket, and goes on to the next.
func (c *Connection) tryNext(err error) {
	c.dropRival()
	c.closeUpstream()
	c.attemptFailed(err)
	c.dial()
}

func (c *Connection) dialTimedOut() {
	d := &c.dialling
	if c.dialAnother() {
		return
	}
	c.dropRival()
	c.closeUpstream()
	d.timedOut = true
	c.shard().Inc(c.cluster().Stats.ConnectTimeout)
	c.attemptFailed(fmt.Errorf("connect %s: no answer within %s (connect_timeout)",
		d.endpoint.Address, c.cluster().ConnectTimeout()))
	c.dial()
}

// attemptFailed gives back what the attempt held.
func (c *Connection) attemptFailed(err error) {
	c.outcome.failure = err
	c.countDialFailed(err)
	c.leaveBreakers()
}

// leaveBreakers gives back what the circuit breakers gave to the attempt, once,
// however far it has come: a panic may end it anywhere.
func (c *Connection) leaveBreakers() {
	d := &c.dialling
	if d.admitted {
		d.admitted = false
		c.cluster().Release(d.endpoint, d.progress)
	}
}

// giveUp resets the client after the last attempt failed.
func (c *Connection) giveUp() {
	d, o := &c.dialling, &c.outcome
	if d.attempts == 0 {
		c.shard().Inc(c.cluster().Stats.NoneHealthy)
		o.failure = fmt.Errorf("cluster %s has no endpoint to pick", c.cluster().Name)
		c.fail(accesslog.ConnectFailed, accesslog.NoHealthyUpstream)
		return
	}
	flags := accesslog.UpstreamConnectionFailure
	if d.attempts >= c.chain.attempts {
		c.shard().Inc(c.cluster().Stats.AttemptsExceeded)
		flags |= accesslog.UpstreamRetryLimitExceeded
	}
	reason := accesslog.ConnectFailed
	switch {
	case d.timedOut:
		reason = accesslog.ConnectTimeout
	case cluster.Blame(o.failure) == cluster.EndpointAtFault:
		o.closedBy = accesslog.ByUpstream
	}
	o.errno = sock.ErrnoOf(o.failure)
	c.fail(reason, flags)
}

// hangUp ends an attempt that is still being made. After a panic it may have no
// socket yet.
func (c *Connection) hangUp() {
	if !c.dialling.admitted {
		return
	}
	c.dropRival()
	c.closeUpstream()
	c.countUpstreamEnd()
	c.leaveBreakers()
	c.state = opening
}

// closeUpstream gives an attempt up, by RST: the endpoint may have accepted
// already, and must not take that for a connection that ended well.
func (c *Connection) closeUpstream() {
	sock.Reset(c.fds[relay.Upstream])
	c.forgetUpstream()
}

// forgetUpstream undoes what dialEndpoint registered; the descriptor is closed.
func (c *Connection) forgetUpstream() {
	c.loop().Forget(c.watches[upstream])
	c.watches[upstream] = 0
	c.fds[relay.Upstream] = -1
	c.forgetNote()
}

// leaveUpstream gives back what an established upstream connection held.
func (c *Connection) leaveUpstream() {
	c.forgetUpstream()
	c.countUpstreamEnd()
	c.leaveBreakers()
}

// sinceAccept is how long ago the connection was accepted.
func (c *Connection) sinceAccept() time.Duration {
	return time.Duration(c.loop().Now() - c.accepted)
}
