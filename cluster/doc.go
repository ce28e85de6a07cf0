// Package cluster holds the sets of endpoints that connections go to: which
// one is next, whether one more connection is allowed, and how it is dialled.
//
//	c, err := cluster.New(&cfg.Clusters[0], registry.Cluster(name))
//
//	var tried cluster.Tried
//	if !c.Admit() {
//		... // overflow: circuit_breakers.max_connections are open
//	}
//	for ep, ok := c.Pick(originalDestination, &tried); ok; ep, ok = c.Pick(originalDestination, &tried) {
//		fd, err := c.Dial(ep, client, onHost)
//		if err == nil { ... } // wait until fd is writable, then ask sock.TakeError
//		if cluster.Blame(err) == cluster.EndpointAtFault {
//			c.ConnectFailed(ep)
//		}
//	}
//	c.Release()
//
// A Cluster is made once for a configuration and is safe for all event loops.
// Picking and dialling allocate nothing and take no lock; the loops share one
// atomic cursor, so that the shares of weighted endpoints are exact over all
// loops together and not only on each.
//
// Clusters of type original_dst have no endpoints of their own: they dial where
// the connection wanted to go, and keep no table of hosts.
package cluster
