package proxy

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/proxy/relay"
)

// Info is what can be told of a live connection.
type Info struct {
	ID            uint64
	Listener      string
	Chain         string // empty: none yet
	Cluster       string
	Downstream    netip.AddrPort // the client
	Original      netip.AddrPort // the original destination
	Upstream      netip.AddrPort // the endpoint; invalid before the first attempt
	UpstreamLocal netip.AddrPort
	Received      uint64 // from downstream, so far
	Sent          uint64 // to downstream, so far
	Start         time.Time
	Age           time.Duration
	Idle          time.Duration
	Engine        string
	Connected     bool
}

// Inspect tells of up to limit live connections, the oldest first; cluster, if
// not empty, chooses those of one cluster.
func (w *Worker) Inspect(cluster string, limit int) []Info {
	var list []Info
	for c := w.live; c != nil && len(list) < limit; c = c.next {
		if cluster == "" || c.route != nil && c.clusterName() == cluster {
			list = append(list, c.info())
		}
		if c.next == w.live {
			break
		}
	}
	return list
}

func (c *Connection) info() Info {
	info := Info{
		ID:         c.id,
		Listener:   c.listenerName(),
		Downstream: c.peer,
		Original:   c.destination,
		Start:      c.loop().Wall(c.accepted),
		Age:        c.sinceAccept(),
		Idle:       c.sinceAccept(),
	}
	if c.chain != nil {
		info.Chain, info.Cluster = c.chainName(), c.clusterName()
	}
	if c.dialling.attempts > 0 {
		info.Upstream, info.UpstreamLocal = c.dialling.endpoint.Address, c.upstreamLocal()
	}
	if c.established {
		info.Connected = true
		info.Received, info.Sent = c.relay.Read(relay.Downstream), c.relay.Written(relay.Downstream)
		info.Idle = time.Duration(c.loop().Now() - c.relay.LastByte())
		info.Engine = c.relay.Engine()
	}
	return info
}
