package stats

import "strconv"

// Listener is what one listener counts. Registry.Listener builds it.
type Listener struct {
	CxTotal          Counter
	CxActive         Gauge
	CxDestroy        Counter
	CxOverflow       Counter // listener's own max_connections
	GlobalCxOverflow Counter // limits.max_connections
	PreCxActive      Gauge
	PreCxTimeout     Counter
	NoFilterChain    Counter
	CxLength         Histogram
	AcceptErrors     Counter
	SourceOverflow   Counter // limits.max_connections_per_source
	LoopGuard        Counter
}

// TCP is what one tcp_proxy prefix counts. Registry.TCP builds it.
type TCP struct {
	CxTotal     Counter
	CxActive    Gauge
	RxBytes     Counter // from the client
	TxBytes     Counter // to the client
	NoRoute     Counter
	IdleTimeout Counter
	MaxDuration Counter
}

// Cluster is what one cluster counts. Registry.Cluster builds it. How many
// endpoints it has is sampled: see ClusterMembershipTotal.
type Cluster struct {
	CxTotal          Counter
	CxActive         Gauge
	ConnectFail      Counter // refused, unreachable or timed out
	ConnectTimeout   Counter
	Overflow         Counter // max_connections or max_connections_per_endpoint
	NoneHealthy      Counter
	AttemptsExceeded Counter
	Destroy          Counter
	DestroyLocal     Counter
	DestroyRemote    Counter
	RxBytes          Counter // from the upstream
	TxBytes          Counter // to the upstream
	ConnectMs        Histogram
	LengthMs         Histogram
	NoEphemeralPort  Counter
	PendingOverflow  Counter
	HealthyPanic     Counter
}

// Loop is what one event loop counts. Registry.Loop builds it; its values
// live in that loop's shard only.
type Loop struct {
	Connections Gauge
	BusyNanos   Counter // exported in seconds
	HandedOver  Counter // accepted here, served by another loop
	Panics      Counter
}

// Inspection is how the inspections of the process ended. Registry.Inspection
// builds it.
type Inspection struct {
	Needed   Counter // a chain that could match asked for an answer
	Skipped  Counter // none did: the connection waited for nothing
	TimedOut Counter
	Failed   Counter // the bytes were not what they had to be
}

// Relay is what all relays of the process count together.
type Relay struct {
	CopyBytes        Counter
	SpliceBytes      Counter
	DownstreamResets Counter // resets that came from clients
	UpstreamResets   Counter // resets that came from upstreams
}

// Listener gives the places of the listener with this address, ip:port.
func (r *Registry) Listener(address string) Listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	envoy, ours := r.envoyScope("listener", "envoy_listener_address", address), r.sluiceScope("listener", statName(address))
	return Listener{
		CxTotal:          envoy.counter("downstream_cx_total", "Connections accepted."),
		CxActive:         envoy.gauge("downstream_cx_active", "Connections open now."),
		CxDestroy:        envoy.counter("downstream_cx_destroy", "Connections closed."),
		CxOverflow:       envoy.counter("downstream_cx_overflow", "Connections refused by the listener's max_connections."),
		GlobalCxOverflow: envoy.counter("downstream_global_cx_overflow", "Connections refused by limits.max_connections."),
		PreCxActive:      envoy.gauge("downstream_pre_cx_active", "Connections still in listener filters."),
		PreCxTimeout:     envoy.counter("downstream_pre_cx_timeout", "Connections whose listener filters timed out."),
		NoFilterChain:    envoy.counter("no_filter_chain_match", "Connections reset because no filter chain matched."),
		CxLength:         envoy.histogram("downstream_cx_length_ms", "Duration of connections in milliseconds."),
		AcceptErrors:     ours.counter("listener_accept_errors_total", "Failed calls of accept, for example for want of descriptors."),
		SourceOverflow:   ours.counter("listener_source_overflow_total", "Connections refused by limits.max_connections_per_source."),
		LoopGuard:        ours.counter("loop_guard_total", "Connections reset because they led back to this proxy."),
	}
}

// TCP gives the places of a tcp_proxy prefix: the name of the cluster, or of
// the filter chain where there are several clusters.
func (r *Registry) TCP(prefix string) TCP {
	r.mu.Lock()
	defer r.mu.Unlock()
	envoy, ours := r.envoyScope("tcp", "envoy_tcp_prefix", prefix), r.sluiceScope("tcp_prefix", statName(prefix))
	return TCP{
		CxTotal:     envoy.counter("downstream_cx_total", "Connections handled by the TCP proxy."),
		CxActive:    ours.gauge("tcp_downstream_cx_active", "Connections handled by the TCP proxy now."),
		RxBytes:     envoy.counter("downstream_cx_rx_bytes_total", "Bytes received from clients."),
		TxBytes:     envoy.counter("downstream_cx_tx_bytes_total", "Bytes sent to clients."),
		NoRoute:     envoy.counter("downstream_cx_no_route", "Connections for which no cluster was found."),
		IdleTimeout: envoy.counter("idle_timeout", "Connections closed by the idle timeout."),
		MaxDuration: envoy.counter("max_downstream_connection_duration", "Connections closed by max_connection_duration."),
	}
}

// Cluster gives the places of the cluster with this name.
func (r *Registry) Cluster(name string) Cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	envoy, ours := r.envoyScope("cluster", "envoy_cluster_name", name), r.sluiceScope("cluster", statName(name))
	return Cluster{
		CxTotal:          envoy.counter("upstream_cx_total", "Connections to endpoints, attempts included."),
		CxActive:         envoy.gauge("upstream_cx_active", "Connections to endpoints open now."),
		ConnectFail:      envoy.counter("upstream_cx_connect_fail", "Connection attempts that failed."),
		ConnectTimeout:   envoy.counter("upstream_cx_connect_timeout", "Connection attempts that timed out."),
		Overflow:         envoy.counter("upstream_cx_overflow", "Connections refused by circuit_breakers.max_connections or max_connections_per_endpoint."),
		NoneHealthy:      envoy.counter("upstream_cx_none_healthy", "Connections for which no endpoint could be picked."),
		AttemptsExceeded: envoy.counter("upstream_cx_connect_attempts_exceeded", "Connections given up after max_connect_attempts."),
		Destroy:          envoy.counter("upstream_cx_destroy", "Connections to endpoints closed."),
		DestroyLocal:     envoy.counter("upstream_cx_destroy_local", "Connections to endpoints closed by this side."),
		DestroyRemote:    envoy.counter("upstream_cx_destroy_remote", "Connections to endpoints closed by the endpoint."),
		RxBytes:          envoy.counter("upstream_cx_rx_bytes_total", "Bytes received from endpoints."),
		TxBytes:          envoy.counter("upstream_cx_tx_bytes_total", "Bytes sent to endpoints."),
		ConnectMs:        envoy.histogram("upstream_cx_connect_ms", "Time to establish a connection in milliseconds."),
		LengthMs:         envoy.histogram("upstream_cx_length_ms", "Duration of connections to endpoints in milliseconds."),
		NoEphemeralPort:  ours.counter("cluster_no_ephemeral_port_total", "Connection attempts for which the source address had no free port."),
		PendingOverflow:  envoy.counter("upstream_rq_pending_overflow", "Connections refused by circuit_breakers.max_pending."),
		HealthyPanic:     envoy.counter("lb_healthy_panic", "Picks made in panic, ignoring health."),
	}
}

// Loop gives the places of the event loop with this number.
func (r *Registry) Loop(id int) Loop {
	r.mu.Lock()
	defer r.mu.Unlock()
	ours := r.sluiceScope("loop", strconv.Itoa(id))
	return Loop{
		Connections: ours.gauge("loop_connections", "Connections served by the event loop now."),
		BusyNanos:   ours.nanos("loop_busy_seconds_total", "Time that the event loop spent working."),
		HandedOver:  ours.counter("loop_handed_over_total", "Connections accepted by the event loop and served by another."),
		Panics:      ours.counter("loop_panics_total", "Panics caught while handling connections."),
	}
}

// Inspection gives the places that all inspections share.
func (r *Registry) Inspection() Inspection {
	result := func(name string) *scope { return r.sluiceScope("result", name) }
	r.mu.Lock()
	defer r.mu.Unlock()
	const name, help = "inspection_total", "Connections by what became of their inspection; a needed one may also time out or fail."
	return Inspection{
		Needed:   result("needed").counter(name, help),
		Skipped:  result("skipped").counter(name, help),
		TimedOut: result("timed_out").counter(name, help),
		Failed:   result("failed").counter(name, help),
	}
}

// Relay gives the places that all relays share.
func (r *Registry) Relay() Relay {
	engine := func(name string) *scope { return r.sluiceScope("engine", name) }
	side := func(name string) *scope { return r.sluiceScope("direction", name) }
	r.mu.Lock()
	defer r.mu.Unlock()
	const bytesHelp, resetsHelp = "Bytes moved by relays, both directions.", "Resets received, by the side they came from."
	return Relay{
		CopyBytes:        engine("copy").counter("relay_bytes_total", bytesHelp),
		SpliceBytes:      engine("splice").counter("relay_bytes_total", bytesHelp),
		DownstreamResets: side("downstream").counter("connection_resets_total", resetsHelp),
		UpstreamResets:   side("upstream").counter("connection_resets_total", resetsHelp),
	}
}
