package cluster

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/cluster/balance"
	"github.com/sluiceproxy/sluice/cluster/dns"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/healthcheck"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/outlier"
)

// Why a cluster cannot be made or a connection cannot be dialled.
var (
	ErrType          = errors.New("cluster type is not supported")
	ErrSourcePorts   = errors.New("no free source port")
	ErrSourceAddress = errors.New("source address is not available")
	ErrSourceFamily  = errors.New("source and endpoint are of different address families")
	ErrGone          = errors.New("the endpoint was taken out of service while it was being connected")
)

// Cluster is a set of endpoints that serve the same thing. What the loops use
// needs no lock; the rest has one of its own.
type Cluster struct {
	Name  string
	Stats stats.Cluster

	cfg            *config.Cluster
	originalDst    bool
	logical        bool // logical_dns: all addresses are one endpoint
	offline        bool // nobody asks DNS: a name is an endpoint
	hashes         bool // the policy goes by the client's address
	portOverride   uint16
	transparent    bool
	mark           uint32
	bind           netip.Addr // as configured, for CheckSource
	source         sourceByFamily
	connectTimeout time.Duration
	keepalive      sock.Keepalive
	userTimeout    time.Duration
	proxyProtocol  config.ProxyProtocolVersion
	patience       Patience

	maxConnections int64
	maxPending     int64
	maxPerEndpoint int64

	view atomic.Pointer[view]

	_        [64]byte // the counts change with each connection: cache lines of their own
	admitted atomic.Int64
	pending  atomic.Int64
	_        [48]byte

	used    atomic.Bool // had a connection ever
	changes atomic.Uint64
	crossed atomic.Bool // an outlier wants to be settled
	noted   atomic.Bool // waits for its keeper
	keeper  *Keeper     // nil before Keep
	cancel  func()      // ends Keep; under mu

	discovery *discovery // nil without names

	mu       sync.Mutex
	options  balance.Options
	known    map[string]*member
	byID     map[int32]*member
	gone     map[string]*counts // of members that left and have open connections
	members  []*member
	lastID   int32
	ramping  bool      // an endpoint's weight grows with time
	ramped   time.Time // when it last did
	watches  []*dns.Watch
	detector *outlier.Detector
	checks   *healthcheck.Group // nil without a checker
}

// New makes a cluster of a validated and normalised configuration. Names are
// resolved and endpoints checked once a Keeper keeps it.
func New(cfg *config.Cluster, st stats.Cluster) (*Cluster, error) {
	c := &Cluster{
		Name:           cfg.Name,
		Stats:          st,
		cfg:            cfg,
		originalDst:    cfg.Type == config.ClusterOriginalDst,
		logical:        cfg.Type == config.ClusterLogicalDNS,
		hashes:         cfg.LBPolicy == config.RingHash || cfg.LBPolicy == config.Maglev,
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
		maxPending:     int64(cfg.CircuitBreakers.MaxPending),
		maxPerEndpoint: math.MaxInt64,
		options:        balance.OptionsOf(cfg),
		byID:           make(map[int32]*member),
		gone:           make(map[string]*counts),
	}
	if n := cfg.CircuitBreakers.MaxConnectionsPerEndpoint; n > 0 {
		c.maxPerEndpoint = int64(n)
	}
	switch cfg.Type {
	case config.ClusterOriginalDst, config.ClusterStatic, config.ClusterStrictDNS, config.ClusterLogicalDNS:
	default:
		return nil, fmt.Errorf("cluster %q: %w: %q", cfg.Name, ErrType, cfg.Type)
	}
	if cfg.OutlierDetection != nil {
		c.watchOutliers(cfg.OutlierDetection)
	}
	if cfg.Type == config.ClusterStrictDNS || cfg.Type == config.ClusterLogicalDNS {
		c.discovery = &discovery{list: c.literal()}
	}
	c.setMembers(c.literal(), time.Now())
	return c, nil
}

// literal is the endpoints whose addresses the configuration has.
func (c *Cluster) literal() []found {
	places := make(map[config.Locality]int32)
	for i, l := range c.options.Localities {
		places[l] = int32(i)
	}
	list := make([]found, len(c.cfg.Endpoints))
	for i := range list {
		spec := &c.cfg.Endpoints[i]
		list[i].spec, list[i].place = spec, -1
		if place, ok := places[spec.Locality]; ok {
			list[i].place = place
		}
		if spec.Address.Name == "" {
			list[i].addresses = []netip.AddrPort{netip.AddrPortFrom(spec.Address.Addr().Unmap(), spec.Address.Port())}
		}
	}
	return list
}

// Transparent says whether Dial uses the client's own address.
func (c *Cluster) Transparent() bool { return c.transparent }

// ConnectTimeout is how long one attempt to connect may take.
func (c *Cluster) ConnectTimeout() time.Duration { return c.connectTimeout }

// Membership is how many endpoints there are, and how many of them take
// connections as they should or as a last resort.
func (c *Cluster) Membership() (total, healthy, degraded int) {
	v := c.view.Load()
	return len(v.seats), v.healthy, v.degraded
}

// Changes counts how often the set of endpoints was set.
func (c *Cluster) Changes() uint64 { return c.changes.Load() }
