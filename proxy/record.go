package proxy

import (
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// log writes the access-log line for an event, where one is wanted.
func (c *Connection) log(event config.LogEvent) {
	logger := c.worker.around.Unmatched.Load()
	if c.chain != nil {
		logger = c.chain.log
	}
	if !logger.Wants(event) {
		return
	}
	c.fill(&c.worker.record)
	logger.Log(event, &c.worker.record)
}

// fill makes the one record of the connection as it is now.
func (c *Connection) fill(r *accesslog.Record) {
	d, o := &c.dialling, &c.outcome
	*r = accesslog.Record{
		ConnectionID:           c.id,
		Start:                  c.loop().Wall(c.accepted),
		Listener:               c.listenerName(),
		Direction:              c.direction(),
		DownstreamRemote:       c.source,
		DownstreamDirectRemote: c.peer,
		DownstreamLocal:        c.destination,
		Duration:               c.sinceAccept(),
		ConnectAttempts:        d.attempts,
		Flags:                  o.flags,
		ClosedBy:               o.closedBy,
		CloseReason:            o.reason,
		Errno:                  sock.Name(o.errno),
		TerminationDetails:     o.details,
		RBACLogPolicy:          c.logPolicy,
	}
	if c.inspection != nil {
		facts := &c.inspection.Facts
		r.RequestedServerName, r.TransportProtocol = facts.ServerName, string(facts.TransportProtocol)
		if len(facts.ApplicationProtocols) > 0 {
			r.ApplicationProtocol = facts.ApplicationProtocols[0]
		}
		if details := c.inspection.Details; details != nil {
			r.JA3, r.JA4 = details.JA3, details.JA4
			r.ProxyAuthority, r.ProxyUniqueID = details.Authority, details.UniqueID
		}
	}
	if o.failure != nil {
		r.UpstreamFailure = o.failure.Error()
	}
	if c.chain != nil {
		r.FilterChain, r.UpstreamCluster = c.chainName(), c.clusterName()
	}
	if d.attempts > 0 {
		r.UpstreamHost, r.UpstreamLocal, r.UpstreamLocality = d.endpoint.Address, d.local, d.endpoint.Locality()
	}
	if c.established {
		r.Connect = time.Duration(c.connected - d.began)
		r.BytesReceived = c.relay.Read(relay.Downstream)
		r.BytesSent = c.relay.Written(relay.Downstream)
		r.Engine = c.relay.Engine()
	}
}

func (c *Connection) shard() *stats.Shard { return c.worker.loop.Shard }

// countBegin counts a connection that has a filter chain. Others count only
// under the reason for which they were refused, as in Envoy.
func (c *Connection) countBegin() {
	c.counted = true
	s, l := c.shard(), &c.listener.Stats
	s.Inc(l.CxTotal)
	s.Inc(c.chain.tcp.CxTotal)
	s.Inc(c.route.istio.Opened)
	c.countActive(1)
}

// countActive counts a connection that comes or leaves.
func (c *Connection) countActive(n int64) {
	s := c.shard()
	s.Move(c.listener.Stats.CxActive, n)
	s.Move(c.worker.loop.Stats.Connections, n)
	s.Move(c.chain.tcp.CxActive, n)
}

func (c *Connection) countEnd() {
	if !c.counted {
		return
	}
	s, l := c.shard(), &c.listener.Stats
	s.Inc(l.CxDestroy)
	s.Observe(l.CxLength, c.sinceAccept())
	c.countActive(-1)
	c.route.istio.Close(s, c.outcome.flags.String())
}

func (c *Connection) countReset(from relay.Side) {
	resets := &c.worker.around.Resets
	if from == relay.Downstream {
		c.shard().Inc(resets.DownstreamResets)
		return
	}
	c.shard().Inc(resets.UpstreamResets)
}

func (c *Connection) countDial() {
	s, u := c.shard(), &c.cluster().Stats
	s.Inc(u.CxTotal)
	s.Move(u.CxActive, 1)
}

func (c *Connection) countDialFailed(err error) {
	s, u := c.shard(), &c.cluster().Stats
	if cluster.Blame(err) == cluster.EndpointAtFault {
		c.cluster().ConnectFailed(c.dialling.endpoint, c.dialling.failure())
	}
	s.Inc(u.ConnectFail)
	s.Inc(u.Destroy)
	s.Move(u.CxActive, -1)
	if c.dialling.timedOut || cluster.Blame(err) == cluster.HostAtFault {
		s.Inc(u.DestroyLocal)
	} else {
		s.Inc(u.DestroyRemote)
	}
	if errors.Is(err, cluster.ErrSourcePorts) {
		s.Inc(u.NoEphemeralPort)
	}
}

func (c *Connection) countConnected() {
	now := c.loop().Now()
	c.cluster().Connected(c.dialling.endpoint)
	c.dialling.progress = cluster.Established
	c.shard().Observe(c.cluster().Stats.ConnectMs, time.Duration(now-c.dialling.began))
}

// countUpstreamEnd counts the end of an upstream connection, or of an attempt
// that the client did not wait for.
func (c *Connection) countUpstreamEnd() {
	s, u := c.shard(), &c.cluster().Stats
	s.Inc(u.Destroy)
	s.Move(u.CxActive, -1)
	if c.outcome.closedBy == accesslog.ByUpstream {
		s.Inc(u.DestroyRemote)
	} else {
		s.Inc(u.DestroyLocal)
	}
	if c.established {
		s.Observe(u.LengthMs, time.Duration(c.loop().Now()-c.connected))
	}
}
