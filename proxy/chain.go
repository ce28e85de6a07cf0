package proxy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// Chain is a filter chain ready to serve: everything that is looked up by name
// was looked up when it was made.
type Chain struct {
	Name string

	cfg       *config.FilterChain
	direction config.Direction

	routes   []route // one, unless the clusters are weighted
	split    *cluster.Split
	attempts int

	hashSource bool // policies that hash go by the client's address

	timeouts relay.Timeouts
	gate     gate
	log      *accesslog.Logger
	tcp      stats.TCP
}

// route is one cluster of a chain, with what its connections count.
type route struct {
	cluster *cluster.Cluster
	istio   stats.Istio
	meters  []relay.Meter // by loop number
}

// Materials are what chains are made of.
type Materials struct {
	Clusters map[string]*cluster.Cluster
	Registry *stats.Registry
	Files    *accesslog.Files
	Loops    []listener.Loop
	Default  []config.AccessLog // for chains without access logs of their own

	// Previous are the chains of the listener with this name in the configuration
	// before, made with PreviousDefault; nil: there were none.
	Previous        func(listener string) *Chains
	PreviousDefault []config.AccessLog
}

// previous is the chain that had this name in the configuration before; nil: none.
func (m *Materials) previous(name string, owner *config.Listener) *Chain {
	if m.Previous == nil {
		return nil
	}
	chains := m.Previous(owner.Name)
	if chains == nil {
		return nil
	}
	return chains.named(name)
}

// canServe says whether a chain of the configuration before can serve cfg too.
func (m *Materials) canServe(old *Chain, cfg *config.FilterChain, owner *config.Listener) bool {
	same := old.direction == owner.Direction && reflect.DeepEqual(old.cfg, cfg) &&
		(cfg.AccessLog != nil || reflect.DeepEqual(m.Default, m.PreviousDefault))
	return same && !slices.ContainsFunc(old.routes, func(r route) bool { return m.Clusters[r.cluster.Name] != r.cluster })
}

// NewChain makes the chain that cfg, a part of owner in a validated
// configuration, asks for. It opens the access logs.
func NewChain(cfg *config.FilterChain, owner *config.Listener, m *Materials) (*Chain, error) {
	old := m.previous(cfg.Name, owner)
	if old != nil && m.canServe(old, cfg, owner) {
		return old, nil
	}
	tcp := &cfg.TCPProxy
	logs := cfg.AccessLog
	if logs == nil {
		logs = m.Default
	}
	logger, err := m.Files.Logger(logs)
	if err != nil {
		return nil, fmt.Errorf("filter chain %s: %w", cfg.Name, err)
	}
	c := &Chain{
		Name:      cfg.Name,
		cfg:       cfg,
		direction: owner.Direction,

		attempts: tcp.MaxConnectAttempts,

		hashSource: tcp.HashPolicy.SourceIP,

		timeouts: relay.Timeouts{Idle: tcp.IdleTimeout, HalfClose: tcp.HalfCloseTimeout, Duration: tcp.MaxConnectionDuration},
		log:      logger,
	}
	// Names of chains are unique in a listener only.
	if c.gate, err = newGate(cfg, owner.Name+"/"+cfg.Name, m.Registry); err != nil {
		return nil, fmt.Errorf("filter chain %s: %w", cfg.Name, err)
	}
	if old != nil {
		c.follow(old)
	}
	prefix := tcp.Cluster
	weighted := tcp.WeightedClusters
	if prefix != "" {
		weighted = []config.WeightedCluster{{Name: prefix, Weight: 1}}
	} else {
		prefix = cfg.Name
		if c.split, err = cluster.NewSplit(weighted); err != nil {
			return nil, fmt.Errorf("filter chain %s: %w", cfg.Name, err)
		}
	}
	c.tcp = m.Registry.TCP(prefix)
	for _, w := range weighted {
		c.routes = append(c.routes, newRoute(m.Clusters[w.Name], owner.Direction, c.tcp, m))
	}
	return c, nil
}

// follow has the limits of a new chain go on where those of the chain of its name
// are: or a reload would let as many connections in again. A bucket with other
// settings begins full.
func (c *Chain) follow(old *Chain) {
	if now, before := c.gate.limit, old.gate.limit; now != nil && before != nil {
		now.Join(before)
	}
	if now, before := c.cfg.LocalRateLimit, old.cfg.LocalRateLimit; now != nil && before != nil && *now == *before {
		c.gate.rate, c.gate.since = old.gate.rate, old.gate.since
	}
}

func newRoute(upstream *cluster.Cluster, direction config.Direction, tcp stats.TCP, m *Materials) route {
	reporter := stats.ReporterSource
	if direction == config.Inbound {
		reporter = stats.ReporterDestination
	}
	r := route{
		cluster: upstream,
		istio:   m.Registry.Istio(stats.IstioLabels{Reporter: reporter, Cluster: upstream.Name}),
	}
	r.measure(tcp, m.Registry.Relay(), m.Loops)
	return r
}

// measure makes the route's meters.
func (r *route) measure(tcp stats.TCP, shares stats.Relay, loops []listener.Loop) {
	for _, loop := range loops {
		r.meters = append(r.meters, relay.Meter{
			Shard:         loop.Shard,
			DownstreamRx:  tcp.RxBytes,
			DownstreamTx:  tcp.TxBytes,
			UpstreamRx:    r.cluster.Stats.RxBytes,
			UpstreamTx:    r.cluster.Stats.TxBytes,
			IstioReceived: r.istio.Received,
			IstioSent:     r.istio.Sent,
			CopyBytes:     shares.CopyBytes,
			SpliceBytes:   shares.SpliceBytes,
		})
	}
}

// routeTo is the route to a cluster by name; nil: the chain does not lead there.
func (c *Chain) routeTo(cluster string) *route {
	for i := range c.routes {
		if c.routes[i].cluster.Name == cluster {
			return &c.routes[i]
		}
	}
	return nil
}

// route chooses the cluster for one connection.
func (c *Chain) route() *route {
	if c.split == nil {
		return &c.routes[0]
	}
	return &c.routes[c.split.Pick()]
}

// Clusters names the chain's clusters, for people.
func (c *Chain) Clusters() string {
	names := make([]string, len(c.routes))
	for i, r := range c.routes {
		names[i] = r.cluster.Name
	}
	return strings.Join(names, ",")
}

// Chains are the filter chains of one listener.
type Chains struct {
	list     []*Chain // in the order of the configuration, as listener.Match counts
	fallback *Chain   // the default filter chain; nil: none
	byName   map[string]*Chain
}

// NewChains makes all chains of a listener.
func NewChains(cfg *config.Listener, m *Materials) (*Chains, error) {
	chains := &Chains{byName: make(map[string]*Chain)}
	for i := range cfg.FilterChains {
		chain, err := NewChain(&cfg.FilterChains[i], cfg, m)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", cfg.Name, err)
		}
		chains.list = append(chains.list, chain)
		chains.byName[chain.Name] = chain
	}
	if cfg.DefaultFilterChain != nil {
		chain, err := NewChain(cfg.DefaultFilterChain, cfg, m)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", cfg.Name, err)
		}
		chains.fallback = chain
		chains.byName[chain.Name] = chain
	}
	return chains, nil
}

// named is the chain with a name; nil: there is none.
func (c *Chains) named(name string) *Chain { return c.byName[name] }

// choose is the chain at the place that listener.Match told; nil: none.
func (c *Chains) choose(match int) *Chain {
	if match == listener.NoMatch {
		return c.fallback
	}
	return c.list[match]
}
