package proxy

import (
	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/internal/accesslog"
)

// CloseDoomed closes the connections whose endpoints their clusters have
// condemned: see cluster.Endpoint.Doom. Those that are still being dialled go on
// to the next endpoint.
func (w *Worker) CloseDoomed() {
	for _, c := range w.doomed() {
		if c.state == connecting {
			c.tryNext(cluster.ErrGone)
			continue
		}
		switch c.dialling.endpoint.Doom() {
		case cluster.EndpointRemoved:
			c.reset(accesslog.EndpointRemoved)
		case cluster.EndpointUnhealthy:
			c.reset(accesslog.EndpointUnhealthy)
		}
	}
}

// doomed collects them first: the ring changes while they are closed.
func (w *Worker) doomed() []*Connection {
	var list []*Connection
	for c := w.live; c != nil; c = c.next {
		if (c.state == relaying || c.state == connecting) && c.dialling.endpoint.Doom() != cluster.Spared {
			list = append(list, c)
		}
		if c.next == w.live {
			break
		}
	}
	return list
}
