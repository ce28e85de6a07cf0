// Package cluster holds the sets of endpoints that connections go to: which
// there are, which one is next, whether one more connection is allowed, and how
// it is dialled.
//
//	c, err := cluster.New(&cfg.Clusters[0], registry.Cluster(name))
//	keeper.Keep(ctx, c, &running) // DNS, health checks, outlier detection
//
//	var tried cluster.Tried
//	query := cluster.Query{Original: originalDestination, Client: client, Tried: &tried}
//	for choice, ok := c.Pick(&query); ok; choice, ok = c.Pick(&query) {
//		if c.Admit(choice.Endpoint) != cluster.Admitted {
//			... // overflow: a limit of circuit_breakers
//		}
//		fd, err := c.Dial(choice.Endpoint, origin)
//		if err == nil {
//			... // wait until fd is writable, then ask sock.TakeError
//			c.Connected(choice.Endpoint)
//			... // relay
//			c.Release(choice.Endpoint, cluster.Established)
//			break
//		}
//		if cluster.Blame(err) == cluster.EndpointAtFault {
//			c.ConnectFailed(choice.Endpoint, cluster.Refused)
//		}
//		c.Release(choice.Endpoint, cluster.Dialling)
//	}
//
// Picking, admitting and dialling are for all event loops at once: they allocate
// nothing and take no lock. What is known of endpoints changes in the
// background, and reaches the loops as a new view behind an atomic pointer.
//
// Clusters of type original_dst have no endpoints of their own: they dial where
// the connection wanted to go, and keep no table of hosts.
package cluster
