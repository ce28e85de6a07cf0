package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/stats"
)

// Why a cluster cannot be made or a connection cannot be dialled.
var (
	ErrType          = errors.New("cluster type is not supported")
	ErrSourcePorts   = errors.New("no free source port")
	ErrSourceAddress = errors.New("source address is not available")
	ErrSourceFamily  = errors.New("source and endpoint are of different address families")
)

// Cluster is a set of endpoints that serve the same thing. It is immutable
// after New, but for its counts, and safe for all loops.
type Cluster struct {
	Name  string
	Stats stats.Cluster

	originalDst    bool
	portOverride   uint16
	transparent    bool
	mark           uint32
	bind           netip.Addr // as configured, for CheckSource
	source         sourceByFamily
	connectTimeout time.Duration
	keepalive      sock.Keepalive
	userTimeout    time.Duration
	proxyProtocol  config.ProxyProtocolVersion
	maxConnections int64

	endpoints []endpoint
	schedule  *schedule // nil without endpoints

	_        [64]byte // admitted changes with each connection: a cache line of its own
	admitted atomic.Int64
	_        [56]byte
}

// New makes a cluster of a validated and normalised configuration.
func New(cfg *config.Cluster, st stats.Cluster) (*Cluster, error) {
	c := &Cluster{
		Name:           cfg.Name,
		Stats:          st,
		portOverride:   cfg.UpstreamPortOverride,
		transparent:    cfg.TransparentSource,
		mark:           cfg.UpstreamMark,
		bind:           cfg.UpstreamBindAddress.Unmap(),
		source:         newSourceByFamily(cfg.UpstreamBindAddress),
		connectTimeout: cfg.ConnectTimeout,
		keepalive:      sock.Keepalive(cfg.TCPKeepalive),
		userTimeout:    cfg.TCPUserTimeout,
		proxyProtocol:  cfg.ProxyProtocol,
		maxConnections: int64(cfg.CircuitBreakers.MaxConnections),
	}
	switch cfg.Type {
	case config.ClusterOriginalDst:
		c.originalDst = true
	case config.ClusterStatic:
		if err := c.setEndpoints(cfg.Endpoints); err != nil {
			return nil, fmt.Errorf("cluster %q: %w", cfg.Name, err)
		}
	default:
		return nil, fmt.Errorf("cluster %q: %w: %q", cfg.Name, ErrType, cfg.Type)
	}
	return c, nil
}

func (c *Cluster) setEndpoints(list []config.Endpoint) error {
	if len(list) == 0 {
		return nil
	}
	weights := make([]uint32, len(list))
	c.endpoints = make([]endpoint, len(list))
	for i, e := range list {
		weights[i] = e.Weight
		c.endpoints[i].address = netip.AddrPortFrom(e.Address.Addr().Unmap(), e.Address.Port())
		c.endpoints[i].weight = e.Weight
	}
	var err error
	c.schedule, err = newSchedule(weights)
	return err
}

// Transparent says whether Dial uses the client's own address.
func (c *Cluster) Transparent() bool { return c.transparent }

// ConnectTimeout is how long one attempt to connect may take.
func (c *Cluster) ConnectTimeout() time.Duration { return c.connectTimeout }

// Admit takes one place under circuit_breakers.max_connections, which counts
// connections that are being dialled too. Without a free place it takes none
// and returns false: overflow. Each place taken is given back by Release.
func (c *Cluster) Admit() bool {
	// Adding first and taking back after would let two loops refuse each
	// other while a place is free.
	for {
		n := c.admitted.Load()
		if n >= c.maxConnections {
			return false
		}
		if c.admitted.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives back a place that Admit took.
func (c *Cluster) Release() { c.admitted.Add(-1) }

// Admitted is how many places are taken now.
func (c *Cluster) Admitted() int { return int(c.admitted.Load()) }
