package config

import (
	"net/netip"
	"time"
)

// ClusterType is how a cluster finds its endpoints.
type ClusterType string

// ClusterStatic lists addresses. ClusterStrictDNS asks for names, and each
// address that DNS gives is an endpoint. ClusterLogicalDNS asks for one name,
// and dials its first address at the time. ClusterOriginalDst dials where the
// connection wanted to go.
const (
	ClusterStatic      ClusterType = "static"
	ClusterStrictDNS   ClusterType = "strict_dns"
	ClusterLogicalDNS  ClusterType = "logical_dns"
	ClusterOriginalDst ClusterType = "original_dst"
)

// LBPolicy is how a cluster chooses among its endpoints.
type LBPolicy string

// The policies, as Envoy's Cluster.LbPolicy.
const (
	RoundRobin   LBPolicy = "round_robin"   // in turn, by weight
	LeastRequest LBPolicy = "least_request" // the least loaded of a few
	Random       LBPolicy = "random"
	RingHash     LBPolicy = "ring_hash" // by the client's address, on a ring of hashes
	Maglev       LBPolicy = "maglev"    // by the client's address, in a table (Maglev: NSDI 2016, section 3.4)
)

// Cluster is a set of endpoints that serve the same thing, and how to connect
// to them.
type Cluster struct {
	Name                 string
	Type                 ClusterType
	UpstreamBindAddress  netip.Addr // source of upstream connections; the zero Addr = the kernel's choice
	UpstreamPortOverride uint16     // 0 = none
	TransparentSource    bool       // dial from the client's own address (IP_TRANSPARENT)
	UpstreamMark         uint32     // SO_MARK of upstream sockets; 0 = none, but with TransparentSource TransparentMark
	ConnectTimeout       time.Duration

	LBPolicy               LBPolicy
	LeastRequest           LeastRequestPolicy
	RingHash               RingHashPolicy
	Maglev                 MaglevPolicy
	SlowStart              SlowStart
	HealthyPanicThreshold  uint32 // percent of available endpoints below which health is ignored; 0 = never
	FailTrafficOnPanic     bool   // below the threshold, no endpoint instead of any
	OverprovisioningFactor uint32 // percent; 140 lets a priority lose 28 % of its endpoints before load leaves it
	LocalityWeighted       bool

	Endpoints        []Endpoint
	DNS              DNS
	HealthChecks     []HealthCheck
	OutlierDetection *OutlierDetection // nil: off
	CircuitBreakers  CircuitBreakers

	OnEndpointRemoved   OpenConnections
	OnEndpointUnhealthy OpenConnections
	TCPKeepalive        Keepalive
	TCPUserTimeout      time.Duration        // how long an endpoint may acknowledge nothing; 0 = the kernel's default; not for endpoints on this host
	ProxyProtocol       ProxyProtocolVersion // of the PROXY header that each upstream connection begins with; "" = none
}

// TransparentMark is the mark by which the TPROXY capture rules know
// connections that the daemon makes under a client's address: their replies
// are routed back to it (sluice iptables, --inbound-tproxy-mark).
const TransparentMark = 1337

// LeastRequestPolicy tunes LeastRequest.
type LeastRequestPolicy struct {
	ChoiceCount       uint32  // endpoints compared for each pick
	ActiveRequestBias float64 // 0 = weights only; 1 = open connections count in full
}

// RingHashPolicy bounds the entries of the ring.
type RingHashPolicy struct {
	MinimumRingSize uint32
	MaximumRingSize uint32
}

// MaglevPolicy is the size of the table, a prime.
type MaglevPolicy struct {
	TableSize uint32
}

// SlowStart lets the load of a new endpoint grow during Window (0 = off): its
// weight is multiplied by max(MinWeightPercent/100, (age/Window)^(1/Aggression)).
type SlowStart struct {
	Window           time.Duration
	Aggression       float64
	MinWeightPercent float64
}

// Endpoint is one address of a cluster, or, for those of the DNS types, one
// name.
type Endpoint struct {
	Address        HostPort
	Weight         uint32
	Priority       uint32 // 0 first
	HealthStatus   HealthStatus
	Locality       Locality
	LocalityWeight uint32 // equal for all endpoints of one locality and priority
}

// HealthStatus is what the configuration knows of an endpoint's health.
type HealthStatus string

// The statuses, as Envoy's core.v3.HealthStatus. HealthUnknown and
// HealthHealthy leave the verdict to health checks; HealthUnhealthy,
// HealthDraining and HealthTimeout take no load; HealthDegraded takes what the
// healthy ones cannot.
const (
	HealthUnknown   HealthStatus = "unknown"
	HealthHealthy   HealthStatus = "healthy"
	HealthUnhealthy HealthStatus = "unhealthy"
	HealthDegraded  HealthStatus = "degraded"
	HealthDraining  HealthStatus = "draining"
	HealthTimeout   HealthStatus = "timeout"
)

// Locality is where an endpoint stands.
type Locality struct {
	Region  string
	Zone    string
	SubZone string
}

// DNS is how names are resolved.
type DNS struct {
	RefreshRate  time.Duration
	RespectTTL   bool // refresh when the answer's TTL is over, instead of by RefreshRate
	LookupFamily LookupFamily
	Resolvers    []netip.AddrPort // none: those of /etc/resolv.conf
}

// LookupFamily is which addresses are asked for.
type LookupFamily string

// LookupAuto prefers IPv6 addresses and takes IPv4 ones where there are none;
// LookupV4Preferred is the reverse; LookupAll takes both (Envoy's
// DnsLookupFamily).
const (
	LookupAuto        LookupFamily = "auto"
	LookupV4Only      LookupFamily = "v4_only"
	LookupV6Only      LookupFamily = "v6_only"
	LookupV4Preferred LookupFamily = "v4_preferred"
	LookupAll         LookupFamily = "all"
)

// CircuitBreakers bound what a cluster may have open.
type CircuitBreakers struct {
	MaxConnections            uint32 // upstream connections, those being dialled included
	MaxPending                uint32 // upstream connections being dialled
	MaxConnectionsPerEndpoint uint32 // 0 = unlimited
	TrackRemaining            bool   // gauges of what is left
}

// OpenConnections is what becomes of the open connections of an endpoint.
type OpenConnections string

// KeepConnections leaves them alone. DrainConnections leaves them until the
// drain time is over, and closes them then. CloseConnections closes them at once.
const (
	KeepConnections  OpenConnections = "keep"
	DrainConnections OpenConnections = "drain"
	CloseConnections OpenConnections = "close"
)
