package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// valid is a configuration with nothing wrong, of which each case spoils one
// thing.
func valid() *Config {
	cfg := Default()
	chain := DefaultFilterChain()
	chain.Name, chain.TCPProxy.Cluster = "c", "static"
	in := DefaultListener()
	in.Name, in.Address = "in", netip.MustParseAddrPort("0.0.0.0:15006")
	in.FilterChains = []FilterChain{chain}
	out := DefaultListener()
	out.Name, out.Address = "out", netip.MustParseAddrPort("0.0.0.0:15001")
	out.InterceptionMode, out.UseOriginalDst = InterceptRedirect, true
	passthrough := DefaultFilterChain()
	passthrough.Name, passthrough.TCPProxy.Cluster = "default", "dst"
	out.DefaultFilterChain = &passthrough
	static := DefaultCluster()
	static.Name = "static"
	endpoint := DefaultEndpoint()
	endpoint.Address = Address(netip.MustParseAddrPort("10.0.0.1:80"))
	static.Endpoints = []Endpoint{endpoint}
	dst := DefaultCluster()
	dst.Name, dst.Type = "dst", ClusterOriginalDst
	log := DefaultAccessLog()
	log.Path = "/dev/stdout"
	cfg.AccessLog = []AccessLog{log}
	cfg.Listeners, cfg.Clusters = []Listener{in, out}, []Cluster{static, dst}
	return &cfg
}

func TestValidate(t *testing.T) {
	addr := netip.MustParseAddr
	port := netip.MustParseAddrPort
	inspect := func(c *Config, listener int) { c.Listeners[listener].ListenerFilters = ListenerFilters() }
	match := func(c *Config) *Match {
		inspect(c, 0)
		return &c.Listeners[0].FilterChains[0].Match
	}
	matchOfDefault := func(c *Config) *Match {
		inspect(c, 1)
		return &c.Listeners[1].DefaultFilterChain.Match
	}
	type spoilCase struct {
		name  string
		spoil func(*Config)
		want  string // path: start of the message; empty for nothing wrong
	}
	for _, tc := range []spoilCase{
		{"nothing", func(*Config) {}, ""},
		{"static without endpoints", func(c *Config) { c.Clusters[0].Endpoints = nil }, ""},
		{"original_dst on interception none", func(c *Config) { c.Listeners[0].FilterChains[0].TCPProxy.Cluster = "dst" }, ""},
		{"fingerprints", func(c *Config) {
			inspect(c, 0)
			c.Listeners[0].TLSInspector.EnableJA3Fingerprinting = true
		}, ""},
		{"JA3 without an inspector", func(c *Config) { c.Listeners[0].TLSInspector.EnableJA3Fingerprinting = true },
			"listeners[0].tls_inspector.enable_ja3_fingerprinting: needs tls_inspector"},
		{"JA4 without an inspector", func(c *Config) { c.Listeners[1].TLSInspector.EnableJA4Fingerprinting = true },
			"listeners[1].tls_inspector.enable_ja4_fingerprinting: needs tls_inspector"},
		{"proxy_protocol", func(c *Config) { c.Clusters[0].ProxyProtocol = ProxyProtocolV1 }, ""},
		{"unknown proxy_protocol", func(c *Config) { c.Clusters[0].ProxyProtocol = "v3" }, "clusters[0].proxy_protocol: must be one of v1, v2"},
		{"transparent static", func(c *Config) { c.Clusters[0].TransparentSource = true }, ""},
		{"port override", func(c *Config) { c.Clusters[1].UpstreamPortOverride = 1 }, ""},
		{"wildcard and one IP", func(c *Config) { c.Listeners[0].Address = port("10.0.0.1:15001") }, ""},
		{"both families", func(c *Config) { c.Listeners[0].Address = port("[::]:15001") }, ""},
		{"sub-listener", func(c *Config) { c.Listeners[0].Bind = false }, ""},
		{"admin port on another IP", func(c *Config) { c.Listeners[0].Address = port("10.0.0.1:15000") }, ""},
		{"bind: false may have the admin port", func(c *Config) { c.Listeners[0].Bind, c.Listeners[0].Address = false, port("0.0.0.0:15000") }, ""},
		{"metrics and readiness off", func(c *Config) { c.Metrics.Address, c.Readiness.Address = "", "" }, ""},
		{"unix admin", func(c *Config) { c.Admin.Address = "unix:///run/x" }, ""},
		{"same chain name in another listener", func(c *Config) { c.Listeners[1].DefaultFilterChain.Name = "c" }, ""},
		{"min_time equals time", func(c *Config) { c.Drain.MinTime = c.Drain.Time }, ""},

		{"inspection", func(c *Config) {
			*match(c) = Match{SourceType: SourceAny, ServerNames: []string{"a.example", "*.example", "x_1.example."}, TransportProtocol: TransportTLS, ApplicationProtocols: []string{"h2"}}
		}, ""},
		{"raw", func(c *Config) { match(c).TransportProtocol = TransportRawBuffer }, ""},

		{"bare asterisk", func(c *Config) { match(c).ServerNames = []string{"a.example", "*"} }, "listeners[0].filter_chains[0].match.server_names[1]: must be a name or *.suffix, not *"},
		{"partial wildcard", func(c *Config) { match(c).ServerNames = []string{"a*.example"} }, "listeners[0].filter_chains[0].match.server_names[0]: must be a name or *.suffix, such"},
		{"inner wildcard", func(c *Config) { match(c).ServerNames = []string{"a.*.example"} }, "listeners[0].filter_chains[0].match.server_names[0]: must be a name or *.suffix, such"},
		{"two wildcards", func(c *Config) { match(c).ServerNames = []string{"*.*.example"} }, "listeners[0].filter_chains[0].match.server_names[0]: must be a name or *.suffix, such"},
		{"wildcard of nothing", func(c *Config) { match(c).ServerNames = []string{"*."} }, "listeners[0].filter_chains[0].match.server_names[0]: must be a name or *.suffix, such"},
		{"empty name", func(c *Config) { match(c).ServerNames = []string{""} }, "listeners[0].filter_chains[0].match.server_names[0]: must not be empty"},
		{"name with NUL", func(c *Config) { match(c).ServerNames = []string{"a\x00.example"} }, "listeners[0].filter_chains[0].match.server_names[0]: must be printable ASCII"},
		{"international name", func(c *Config) { match(c).ServerNames = []string{"bücher.example"} }, "listeners[0].filter_chains[0].match.server_names[0]: must be printable ASCII"},
		{"long name", func(c *Config) { match(c).ServerNames = []string{strings.Repeat("a", 256)} }, "listeners[0].filter_chains[0].match.server_names[0]: must have at most 255"},
		{"transport", func(c *Config) { match(c).TransportProtocol = "quic" }, "listeners[0].filter_chains[0].match.transport_protocol: must be one of tls, raw_buffer"},
		{"empty protocol", func(c *Config) { match(c).ApplicationProtocols = []string{"h2", ""} }, "listeners[0].filter_chains[0].match.application_protocols[1]: must have from 1"},
		{"long protocol", func(c *Config) { match(c).ApplicationProtocols = []string{strings.Repeat("a", 256)} }, "listeners[0].filter_chains[0].match.application_protocols[0]: must have from 1"},
		{"server name of default", func(c *Config) { matchOfDefault(c).ServerNames = []string{"a"} }, "listeners[1].default_filter_chain.match: must be left out"},
		{"transport of default", func(c *Config) { matchOfDefault(c).TransportProtocol = TransportTLS }, "listeners[1].default_filter_chain.match: must be left out"},
		{"protocol of default", func(c *Config) { matchOfDefault(c).ApplicationProtocols = []string{"h2"} }, "listeners[1].default_filter_chain.match: must be left out"},

		{"concurrency", func(c *Config) { c.Concurrency = 5000 }, "concurrency: must be from 0"},
		{"hostless clash", func(c *Config) { c.Metrics.Address = ":15006" }, "listeners[0].address: 0.0.0.0:15006 is already taken by metrics.address"},
		{"wildcard clash", func(c *Config) { c.Listeners[0].Address = port("127.0.0.1:15090") }, "listeners[0].address: 127.0.0.1:15090 is already taken by metrics.address"},
		{"same address", func(c *Config) { c.Listeners[0].Address = c.Listeners[1].Address }, "listeners[1].address: 0.0.0.0:15001 is already"},
		{"no address", func(c *Config) { c.Listeners[0].Address = netip.AddrPort{} }, "listeners[0].address: is required"},
		{"port 0", func(c *Config) { c.Listeners[0].Address = port("0.0.0.0:0") }, "listeners[0].address: must have a port"},
		{"listener names", func(c *Config) { c.Listeners[1].Name = "in" }, "listeners[1].name: \"in\" is already"},
		{"cluster names", func(c *Config) { c.Clusters = append(c.Clusters, c.Clusters[0]) }, "clusters[2].name: \"static\" is already"},
		{"no name", func(c *Config) { c.Listeners[0].FilterChains[0].Name = "" }, "listeners[0].filter_chains[0].name: is required"},
		{"direction", func(c *Config) { c.Listeners[0].Direction = "" }, "listeners[0].direction: must be one of"},
		{"unreachable", func(c *Config) { c.Listeners[0].Bind, c.Listeners[1].UseOriginalDst = false, false }, "listeners[0].bind: false makes"},
		{"hand over without interception", func(c *Config) { c.Listeners[1].InterceptionMode = InterceptNone }, "listeners[1].use_original_dst: needs"},
		{"no chain", func(c *Config) { c.Listeners[0].FilterChains = nil }, "listeners[0].filter_chains: at least one"},
		{"source port 0", func(c *Config) { c.Listeners[0].FilterChains[0].Match.SourcePorts = []uint16{0} }, "listeners[0].filter_chains[0].match.source_ports[0]: must be"},
		{"match of default", func(c *Config) { c.Listeners[1].DefaultFilterChain.Match.SourceType = SourceLocal }, "listeners[1].default_filter_chain.match: must be left out"},
		{"chain log", func(c *Config) { c.Listeners[0].FilterChains[0].AccessLog = []AccessLog{DefaultAccessLog()} }, "listeners[0].filter_chains[0].access_log[0].path: is required"},
		{"dangling", func(c *Config) { c.Listeners[0].FilterChains[0].TCPProxy.Cluster = "x" }, "listeners[0].filter_chains[0].tcp_proxy.cluster: there is no"},
		{"type", func(c *Config) { c.Clusters[0].Type = "eds" }, "clusters[0].type: must be one of"},
		{"policy", func(c *Config) { c.Clusters[0].LBPolicy = "fastest" }, "clusters[0].lb_policy: must be one of round_robin"},
		{"timeout", func(c *Config) { c.Clusters[0].ConnectTimeout = 0 }, "clusters[0].connect_timeout: must be more"},
		{"user timeout", func(c *Config) { c.Clusters[0].TCPUserTimeout = 1000 * time.Hour }, "clusters[0].tcp_user_timeout: must be"},
		{"no connections", func(c *Config) { c.Clusters[0].CircuitBreakers.MaxConnections = 0 }, "clusters[0].circuit_breakers.max_connections: must be"},
		{"port override of static", func(c *Config) { c.Clusters[0].UpstreamPortOverride = 1 }, "clusters[0].upstream_port_override: works with"},
		{"endpoints of original_dst", func(c *Config) { c.Clusters[1].Endpoints = c.Clusters[0].Endpoints }, "clusters[1].endpoints: must be left out"},
		{"two sources", func(c *Config) {
			c.Clusters[1].TransparentSource, c.Clusters[1].UpstreamBindAddress = true, addr("127.0.0.6")
		}, "clusters[1].upstream_bind_address: cannot be given"},
		{"family of endpoint", func(c *Config) { c.Clusters[0].UpstreamBindAddress = addr("::6") }, "clusters[0].endpoints[0].address: 10.0.0.1:80 cannot be reached"},
		{"family of listener", func(c *Config) { c.Clusters[1].UpstreamBindAddress = addr("::6") }, "listeners[1].default_filter_chain.tcp_proxy.cluster: cluster \"dst\" dials from ::6"},
		{"min_time", func(c *Config) { c.Drain.Time = time.Second }, "drain.min_time: must not be longer"},
		{"log_on", func(c *Config) { c.AccessLog[0].LogOn = nil }, "access_log[0].log_on: must name"},
		{"host name", func(c *Config) { c.Metrics.Address = "a_b:1" }, "metrics.address: must be host:port"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := valid()
			tc.spoil(cfg)
			problems := Validate(cfg)
			if tc.want == "" {
				if len(problems) > 0 {
					t.Errorf("got %v", problems)
				}
				return
			}
			if len(problems) != 1 || !strings.HasPrefix(problems.Error(), tc.want) {
				t.Errorf("got %v, want %s", problems, tc.want)
			}
		})
	}
}
