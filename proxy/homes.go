package proxy

import (
	"fmt"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/intercept"
	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/listener"
)

// orphans is the listener, chain and cluster under which connections count that
// have none of their own.
const orphans = "orphans"

// Homes tells where connections of another process belong in the configuration
// of this one, by name. What is missing is made up for: an orphan goes on with
// the default timeouts, passes no gate, counts as "orphans" and is logged by its
// old names to the default access log. Homes are made with the configuration,
// never change, and serve all loops.
type Homes struct {
	listeners map[string]*listener.Listener
	chains    map[chainKey]*Chain
	clusters  map[string]*cluster.Cluster
	loops     []listener.Loop
	shares    stats.Relay

	orphanage *listener.Listener
	neutral   *Chain
}

type chainKey struct{ listener, chain string }

// NewHomes makes the homes of one configuration. It hands out places for
// counters: Shard.Grow comes after it.
func NewHomes(table *listener.Table, chains map[string]*Chains, m *Materials) (*Homes, error) {
	h := &Homes{
		listeners: make(map[string]*listener.Listener),
		chains:    make(map[chainKey]*Chain),
		clusters:  m.Clusters,
		loops:     m.Loops,
		shares:    m.Registry.Relay(),
	}
	for _, ln := range table.Listeners() {
		h.listeners[ln.Config.Name] = ln
		of := chains[ln.Config.Name]
		for _, chain := range of.list {
			h.chains[chainKey{ln.Config.Name, chain.Name}] = chain
		}
		if of.fallback != nil {
			h.chains[chainKey{ln.Config.Name, of.fallback.Name}] = of.fallback
		}
	}
	if err := h.openOrphanage(m); err != nil {
		return nil, fmt.Errorf("making what connections without a filter chain go on with: %w", err)
	}
	return h, nil
}

func (h *Homes) openOrphanage(m *Materials) error {
	target := config.DefaultCluster()
	target.Name, target.Type = orphans, config.ClusterOriginalDst
	upstream, err := cluster.New(&target, m.Registry.Cluster(orphans))
	if err != nil {
		return err
	}
	owner := config.DefaultListener()
	owner.Name = orphans
	cfg := config.DefaultFilterChain()
	cfg.Name, cfg.TCPProxy.Cluster = orphans, orphans
	own := *m
	own.Clusters = map[string]*cluster.Cluster{orphans: upstream}
	if h.neutral, err = NewChain(&cfg, &owner, &own); err != nil {
		return err
	}
	h.orphanage = listener.NewOrphanage(&owner, m.Registry.Listener(orphans))
	return nil
}

// home is where one connection belongs.
type home struct {
	listener *listener.Listener
	chain    *Chain
	route    *route
	orphan   bool // in part at least
}

// find never fails. A chain that is gone does not take the cluster from its
// connections: they still count there, and end with its endpoints.
func (h *Homes) find(conn *handover.Connection) home {
	ln, chain := h.listeners[conn.Listener], h.chains[chainKey{conn.Listener, conn.Chain}]
	if chain != nil {
		if way := chain.routeTo(conn.Cluster); way != nil {
			return home{ln, chain, way, false}
		}
	}
	if ln == nil {
		ln = h.orphanage
	}
	if chain == nil {
		chain = h.neutral
	}
	way := &h.neutral.routes[0]
	if upstream := h.clusters[conn.Cluster]; upstream != nil || chain != h.neutral {
		if upstream == nil {
			upstream = way.cluster
		}
		way = &route{cluster: upstream, istio: way.istio}
		way.measure(chain.tcp, h.shares, h.loops)
	}
	return home{ln, chain, way, true}
}

// trailNames are the bound listeners of a trail, each as often as it was passed.
func trailNames(trail intercept.Trail, table *listener.Table) []string {
	var list []string
	for _, ln := range table.Listeners() {
		if !ln.Config.Bind {
			continue
		}
		for range trail.Turns(ln.Ordinal) {
			list = append(list, ln.Config.Name)
		}
	}
	return list
}

// trail leaves out listeners that are gone: nothing can come through them.
func (h *Homes) trail(names []string) (trail intercept.Trail) {
	for _, name := range names {
		if ln := h.listeners[name]; ln != nil && ln.Config.Bind {
			trail = trail.With(ln.Ordinal)
		}
	}
	return trail
}
