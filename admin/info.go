package admin

import (
	"net/http"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// Options are what the admin API shows and does. Functions are called from
// the goroutines of requests, several at a time; none may be nil.
type Options struct {
	Address string // host:port, or unix:///path
	Log     *zap.Logger

	State       func() State
	Server      func() ServerInfo
	Listeners   func() []ListenerInfo
	Clusters    func() []ClusterInfo
	Connections func(ConnectionQuery) []ConnectionInfo
	ConfigDump  func() ConfigDump

	Stats      http.Handler    // /stats
	Prometheus http.Handler    // /stats/prometheus
	Level      zap.AtomicLevel // of the daemon's log
	Quit       func()          // begins to stop the daemon; returns at once

	// Reload serves by the configuration as it is now, and says for people how
	// that went; with an error nothing has changed.
	Reload func() (report string, err error)
	// FailReadiness makes the readiness port say no, or lets it say again what is
	// the case.
	FailReadiness func(fail bool)
	// DrainListeners stops accepting; it returns at once.
	DrainListeners func(Drain)
}

// State is Envoy's ServerInfo.State.
type State string

// The states. Only a live server is ready.
const (
	Live            State = "LIVE"
	Draining        State = "DRAINING"
	PreInitializing State = "PRE_INITIALIZING"
	Initializing    State = "INITIALIZING"
)

// ServerInfo is what /server_info shows besides the state.
type ServerInfo struct {
	Version     string
	Start       time.Time
	FirstStart  time.Time // of the first of the processes that were upgraded in place
	NodeID      string
	NodeCluster string
	Options     map[string]any // command line options that hold, by name
}

// ListenerInfo is one listener.
type ListenerInfo struct {
	Name    string
	Address netip.AddrPort // where it listens, with the port that the system chose
}

// ClusterInfo is one cluster with its endpoints.
type ClusterInfo struct {
	Name           string
	MaxConnections uint32
	MaxPending     uint32
	AddedViaAPI    bool         // by a control plane
	Outliers       *OutlierInfo // nil: no outlier detection
	Endpoints      []EndpointInfo
}

// OutlierInfo is what outlier detection knows of a cluster: of the success rates
// of its endpoints, in percent, the average and the rate below which one is
// ejected; -1: not known.
type OutlierInfo struct {
	Average   float64
	Threshold float64
}

// EndpointInfo is one endpoint of a cluster.
type EndpointInfo struct {
	Address       netip.AddrPort
	Hostname      string // of endpoints that DNS found
	CxActive      uint64
	CxConnectFail uint64
	CxTotal       uint64
	HealthFlags   string // Envoy's, for example /failed_active_hc; empty: healthy
	Weight        uint32
	Priority      uint32
	Region        string
	Zone          string
	SubZone       string

	LocalOriginSuccessRate float64 // percent, of outlier detection; -1: not known
}

// ConnectionQuery is what /connections was asked for.
type ConnectionQuery struct {
	Cluster string // only those to this cluster; empty: all
	Limit   int    // at most so many; always above 0
}

// ConnectionInfo is one live connection.
type ConnectionInfo struct {
	ID               uint64
	Listener         string
	FilterChain      string
	Cluster          string
	DownstreamRemote netip.AddrPort
	DownstreamLocal  netip.AddrPort // the original destination
	UpstreamLocal    netip.AddrPort
	UpstreamHost     netip.AddrPort // the endpoint; invalid while none is chosen
	BytesReceived    uint64         // from downstream, so far
	BytesSent        uint64         // to downstream, so far
	Age              time.Duration
	Idle             time.Duration // since the last byte either way
	Engine           string        // copy | splice; empty: no byte was moved yet
}

// ConfigDump is the configuration that runs.
type ConfigDump struct {
	Version     string // changes with each accepted configuration
	LastUpdated time.Time
	Config      any // as encoding/json shows it, under the names of the YAML; holds no secrets

	Rejected *Rejected // nil: the last attempt to change it was accepted
}

// Rejected is a configuration that was not accepted.
type Rejected struct {
	At  time.Time
	Why string
}

// Drain is how listeners are drained.
type Drain struct {
	Graceful    bool // after drain.min_time
	InboundOnly bool // outbound listeners go on
}
