package proxy

import "github.com/sluiceproxy/sluice/internal/handover"

// names are what another process called the parts of its configuration that a
// connection belongs to. Logs go on to say so, also where there is no such part
// any more.
type names struct {
	listener, chain, cluster, direction string
}

func namesOf(conn *handover.Connection) *names {
	return &names{conn.Listener, conn.Chain, conn.Cluster, conn.Direction}
}

func (c *Connection) listenerName() string {
	if c.names != nil {
		return c.names.listener
	}
	return c.listener.Config.Name
}

func (c *Connection) direction() string {
	if c.names != nil {
		return c.names.direction
	}
	return string(c.listener.Config.Direction)
}

// chainName is for connections that have a chain, as clusterName.
func (c *Connection) chainName() string {
	if c.names != nil {
		return c.names.chain
	}
	return c.chain.Name
}

func (c *Connection) clusterName() string {
	if c.names != nil {
		return c.names.cluster
	}
	return c.cluster().Name
}
