package config

import (
	"net/netip"
	"slices"
)

// AppHealth is what the readiness port answers at /app-health/PORT: whether the
// application behind this sidecar serves PORT. A check of another host only
// reaches the sidecar, whose port is open also when the application is gone.
type AppHealth struct {
	Learn bool        // check the ports of inbound filter chains too
	Check HealthCheck // how learned ports are checked
	Ports []AppHealthPort
}

// AppHealthPort is one port of the application.
type AppHealthPort struct {
	Port    uint16         // as clients know it, and as in the path
	Address netip.AddrPort // where the application listens; the zero AddrPort = Port on 127.0.0.1 or [::1], whichever is healthy
	Check   HealthCheck
}

// AppHealthPorts are the ports that AppHealth covers: those listed, and with
// Learn the destination ports of inbound filter chains, at the address that
// their cluster dials. Listed ones win.
func AppHealthPorts(cfg *Config) []AppHealthPort {
	ports := slices.Clone(cfg.AppHealth.Ports)
	if !cfg.AppHealth.Learn {
		return ports
	}
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		if l.Direction != Inbound {
			continue
		}
		for j := range l.FilterChains {
			port, ok := learnPort(cfg, &l.FilterChains[j])
			if ok && !slices.ContainsFunc(ports, func(p AppHealthPort) bool { return p.Port == port.Port }) {
				ports = append(ports, port)
			}
		}
	}
	return ports
}

// learnPort finds where the connections of a chain end, if it is one place.
func learnPort(cfg *Config, chain *FilterChain) (AppHealthPort, bool) {
	port := AppHealthPort{Port: chain.Match.DestinationPort, Check: cfg.AppHealth.Check}
	i := slices.IndexFunc(cfg.Clusters, func(c Cluster) bool { return c.Name == chain.TCPProxy.Cluster })
	if port.Port == 0 || i < 0 {
		return port, false
	}
	switch c := &cfg.Clusters[i]; {
	case c.Type == ClusterOriginalDst && c.UpstreamPortOverride != 0:
		// The application listens on this host, at an address that only a
		// connection tells: loopback is what can be known.
		port.Check.Port = c.UpstreamPortOverride
	case c.Type == ClusterStatic && len(c.Endpoints) == 1:
		port.Address = c.Endpoints[0].Address.AddrPort
	case c.Type != ClusterOriginalDst:
		return port, false
	}
	return port, true
}
