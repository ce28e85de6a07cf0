package config

import "time"

// Default is the configuration of a file that says nothing: every default
// filled in, no listener, no cluster. Each call returns fresh slices.
func Default() Config {
	return Config{
		Admin:     Admin{Address: "127.0.0.1:15000"},
		Metrics:   Metrics{Address: "0.0.0.0:15090"},
		Readiness: Readiness{Address: "0.0.0.0:15021"},
		AppHealth: AppHealth{Check: DefaultAppHealthCheck()},
		Log:       Log{Level: "info", Format: "json"},
		Limits:    Limits{MaxConnections: 50000, MaxPendingInspections: 1024},
		Drain:     Drain{Time: 45 * time.Second, MinTime: 5 * time.Second, Strategy: DrainGradual},
	}
}

// DefaultAccessLog is an access log that only lacks its path.
func DefaultAccessLog() AccessLog {
	return AccessLog{Format: "json", LogOn: []LogEvent{LogEnd}, FlushInterval: time.Second}
}

// DefaultKeepalive finds a dead peer within a minute, and is below the 60 s
// after which conntrack forgets a half-closed connection
// (nf_conntrack_tcp_timeout_close_wait).
func DefaultKeepalive() Keepalive {
	return Keepalive{Idle: 30 * time.Second, Interval: 10 * time.Second, Probes: 3}
}

// DefaultListener is a listener that only lacks name, address and chains.
func DefaultListener() Listener {
	return Listener{
		Direction:        Unspecified,
		InterceptionMode: InterceptNone,
		Bind:             true,

		ListenerFiltersTimeout:           5 * time.Second,
		ContinueOnListenerFiltersTimeout: true,
		TLSInspector:                     TLSInspector{MaxClientHello: 64 << 10},

		TCPKeepalive: DefaultKeepalive(),
	}
}

// DefaultFilterChain is a chain that matches anything and only lacks its
// cluster.
func DefaultFilterChain() FilterChain {
	return FilterChain{Match: Match{SourceType: SourceAny}, TCPProxy: DefaultTCPProxy()}
}

// DefaultTCPProxy is a tcp_proxy that only lacks its cluster.
func DefaultTCPProxy() TCPProxy {
	return TCPProxy{MaxConnectAttempts: 3, HalfCloseTimeout: time.Hour}
}
