package native

import "github.com/sluiceproxy/sluice/config"

// note is what a Go type cannot say about a key.
type note struct {
	doc      string
	required bool
	allowed  []string // for enumerations that the model keeps as strings
}

// notes describes every key, by model type and field. It is never changed.
var notes = map[string]note{
	"Config.Node":        {doc: "Who this process is, for people and control planes."},
	"Config.Concurrency": {doc: "Event loops; 0 = one for each usable core."},
	"Config.Admin":       {doc: "The operators' HTTP API."},
	"Config.Metrics":     {doc: "The read-only Prometheus port."},
	"Config.Readiness":   {doc: "The port of /healthz/ready, for kubelet."},
	"Config.Log":         {doc: "The daemon's own log."},
	"Config.AccessLog":   {doc: "Access logs of all chains that name none of their own."},
	"Config.Limits":      {doc: "Limits of the whole process."},
	"Config.Drain":       {doc: "How the daemon stops."},
	"Config.Listeners":   {doc: "Addresses that take connections."},
	"Config.Clusters":    {doc: "Where connections go."},

	"Node.ID":           {doc: "Name of this process."},
	"Node.Cluster":      {doc: "Name of the workload this process belongs to."},
	"Admin.Address":     {doc: "host:port, or unix:///path for a unix socket of mode 0600."},
	"Metrics.Address":   {doc: `host:port; "" turns it off.`},
	"Readiness.Address": {doc: `host:port; "" turns it off.`},
	"Log.Level":         {doc: "Least severe level that is written.", allowed: config.LogLevels()},
	"Log.Format":        {doc: "One JSON object a line, or text for people.", allowed: config.LogFormats()},

	"AccessLog.Path":          {doc: "A file (reopened on SIGUSR1), /dev/stdout or /dev/stderr.", required: true},
	"AccessLog.Format":        {doc: "json, text (Istio's default line) or a line with %OPERATORS%."},
	"AccessLog.LogOn":         {doc: "Moments of a connection that write a line."},
	"AccessLog.FlushInterval": {doc: "Longest time that a line waits in memory."},
	"Limits.MaxConnections":   {doc: "Live downstream connections; 0 = unlimited."},

	"Limits.MaxConnectionsPerSource": {doc: "Live connections of one peer's address; 0 = unlimited."},
	"Limits.MaxPendingInspections":   {doc: "Connections still in listener filters; 0 = unlimited."},

	"Drain.Time":     {doc: "After it, connections that are left are reset."},
	"Drain.MinTime":  {doc: "Listeners go on accepting at least this long."},
	"Drain.Strategy": {doc: "gradual waits min_time before inbound listeners stop accepting, immediate does not."},

	"Listener.Name":             {doc: "Unique name.", required: true},
	"Listener.Address":          {doc: "IP:port, such as 0.0.0.0:15006 or [::]:15006.", required: true},
	"Listener.Direction":        {doc: "The side of the application this listener stands on."},
	"Listener.InterceptionMode": {doc: "How connections come here: none (clients connect to this address), redirect (iptables REDIRECT, SO_ORIGINAL_DST), tproxy (iptables TPROXY, IP_TRANSPARENT)."},
	"Listener.Bind":             {doc: "false: no socket, reached only through use_original_dst."},
	"Listener.UseOriginalDst":   {doc: "Hand over to the listener whose address is the original destination, then to the one on the wildcard IP with that port."},
	"Listener.ListenerFilters": {
		doc: "What looks at a connection's first bytes: proxy_protocol (first, always), tls_inspector and http_inspector (only where a chain that can still match asks)."},
	"Listener.ListenerFiltersTimeout": {doc: "For all listener filters of a connection together; 0s = never."},
	"Listener.ContinueOnListenerFiltersTimeout": {
		doc: "A connection that has sent nothing by then is taken for one that is neither TLS nor HTTP; false: it is closed. One that has begun a header or a ClientHello is always closed."},
	"Listener.ProxyProtocol": {doc: "How PROXY headers are taken, with proxy_protocol among the listener_filters."},
	"Listener.TLSInspector":  {doc: "How ClientHellos are read, with tls_inspector among the listener_filters."},
	"ProxyProtocol.AllowRequestsWithoutProxyProtocol": {
		doc: "Also take connections that begin without a PROXY header; one from a peer that is not trusted is still closed."},
	"ProxyProtocol.DisallowedVersions":  {doc: "Versions of the PROXY protocol that close the connection."},
	"ProxyProtocol.TrustedPrefixRanges": {doc: "Peers that may send a PROXY header; none = all."},
	"TLSInspector.MaxClientHello":       {doc: "Bytes of a stream that are looked at; a ClientHello that needs more closes the connection."},
	"TLSInspector.CloseOnParseError":    {doc: "Close connections that begin as TLS and break its rules; false: they are raw_buffer."},
	"TLSInspector.EnableJA3Fingerprinting": {
		doc: "The JA3 fingerprint of each ClientHello that is looked at, for access logs. It makes none be looked at: that is for the filter chains."},
	"TLSInspector.EnableJA4Fingerprinting": {doc: "The same for JA4."},

	"Listener.MaxConnections":     {doc: "Live connections of this listener; 0 = unlimited."},
	"Listener.TCPKeepalive":       {doc: "Keepalive of downstream connections."},
	"Listener.FilterChains":       {doc: "Matches, and what happens to the connections that match."},
	"Listener.DefaultFilterChain": {doc: "For connections that match no chain; without it they are reset."},

	"Keepalive.Idle":     {doc: "Silence before the first probe; 0s = off."},
	"Keepalive.Interval": {doc: "Time between probes."},
	"Keepalive.Probes":   {doc: "Unanswered probes after which the connection is dead."},

	"FilterChain.Name":  {doc: "Unique in the listener; chain-N (from 0) or default when left out."},
	"FilterChain.Match": {doc: "All criteria must hold; an empty match matches anything."},
	"FilterChain.RBAC": {
		doc: "Who may use the chain: rules, or a list of them. Deny is looked at first, and each allow must have a policy that matches."},
	"FilterChain.ConnectionLimit": {doc: "Live connections of this chain."},
	"FilterChain.LocalRateLimit":  {doc: "New connections of this chain: a bucket of tokens, of which each connection takes one."},
	"FilterChain.TCPProxy":        {doc: "Relays the connection to a cluster.", required: true},
	"FilterChain.AccessLog":       {doc: "Instead of the global access logs; [] = none."},

	"RBAC.Action":   {doc: "allow refuses what no policy matches, deny what a policy matches, log nothing: it tells of matches only.", required: true},
	"RBAC.Policies": {doc: "One that matches is enough; allow without any refuses everything."},

	"RBACPolicy.Name":                {doc: "Unique in its rules; a refusal names it in connection_termination_details.", required: true},
	"RBACPolicy.Any":                 {doc: "Every connection, instead of conditions."},
	"RBACPolicy.SourceIPs":           {doc: "Prefixes of the client's address."},
	"RBACPolicy.NotSourceIPs":        {doc: "Prefixes that the client's address is not in."},
	"RBACPolicy.DirectSourceIPs":     {doc: "Prefixes of the peer's own address."},
	"RBACPolicy.NotDirectSourceIPs":  {doc: "Prefixes that the peer's own address is not in."},
	"RBACPolicy.DestinationIPs":      {doc: "Prefixes of the original destination."},
	"RBACPolicy.NotDestinationIPs":   {doc: "Prefixes that the original destination is not in."},
	"RBACPolicy.DestinationPorts":    {doc: "Ports of the original destination."},
	"RBACPolicy.NotDestinationPorts": {doc: "Ports that the original destination has not."},
	"RBACPolicy.ServerNames":         {doc: "Names that a TLS client asks for (SNI); *.example is every name below example, * any name; needs tls_inspector."},
	"RBACPolicy.NotServerNames":      {doc: "Names that the client does not ask for; one that names none fits; needs tls_inspector."},

	"ConnectionLimit.MaxConnections": {doc: "At least 1.", required: true},
	"LocalRateLimit.MaxTokens":       {doc: "Tokens that the bucket holds, and has at the start.", required: true},
	"LocalRateLimit.TokensPerFill":   {doc: "Tokens that each fill adds."},
	"LocalRateLimit.FillInterval":    {doc: "Time between fills, at least 50ms.", required: true},

	"Match.DestinationPort":          {doc: "Port of the original destination; 0 = any."},
	"Match.PrefixRanges":             {doc: "Prefixes of the original destination; the longest match wins."},
	"Match.ServerNames":              {doc: "Names that a TLS client asks for (SNI); *.example is every name below example; the most specific wins."},
	"Match.TransportProtocol":        {doc: "Whether the connection begins as TLS; left out = any."},
	"Match.ApplicationProtocols":     {doc: "ALPN of a TLS client, or http/1.0, http/1.1 and h2c; the client's first that a chain has wins."},
	"Match.DirectSourcePrefixRanges": {doc: "Prefixes of the peer's own address."},
	"Match.SourceType":               {doc: "Whether the client is on this host."},
	"Match.SourcePrefixRanges":       {doc: "Prefixes of the client's address."},
	"Match.SourcePorts":              {doc: "Ports of the client."},

	"TCPProxy.Cluster":               {doc: "Name of the cluster."},
	"TCPProxy.WeightedClusters":      {doc: "Clusters that share the connections, instead of cluster."},
	"TCPProxy.MaxConnectAttempts":    {doc: "Endpoints tried, each once, before the client is reset."},
	"TCPProxy.IdleTimeout":           {doc: "No byte either way for so long ends the connection; 0s = never."},
	"TCPProxy.HalfCloseTimeout":      {doc: "No byte either way for so long after one side's FIN ends the connection; 0s = never."},
	"TCPProxy.MaxConnectionDuration": {doc: "Longest life of a connection; 0s = unlimited."},
	"WeightedCluster.Name":           {doc: "Name of the cluster.", required: true},
	"WeightedCluster.Weight":         {doc: "Its share, relative to the others.", required: true},

	"Cluster.Name":                {doc: "Unique name.", required: true},
	"Cluster.Type":                {doc: "static lists endpoints, original_dst dials where the connection wanted to go."},
	"Cluster.UpstreamBindAddress": {doc: "Source address of upstream connections; empty = the kernel's choice."},
	"Cluster.UpstreamPortOverride": {
		doc: "Port to dial instead of the original destination's, original_dst only; 0 = none."},
	"Cluster.TransparentSource":      {doc: "Dial from the client's own address (needs TPROXY routing and CAP_NET_ADMIN)."},
	"Cluster.UpstreamMark":           {doc: "SO_MARK of upstream sockets; 0 means none, or 1337 with transparent_source: the mark by which sluice iptables routes replies back (needs CAP_NET_ADMIN)."},
	"Cluster.ConnectTimeout":         {doc: "Longest time of one connection attempt."},
	"Cluster.LBPolicy":               {doc: "How an endpoint is chosen."},
	"Cluster.Endpoints":              {doc: "Endpoints of a static cluster."},
	"Cluster.CircuitBreakers":        {doc: "Limits of this cluster."},
	"Cluster.TCPKeepalive":           {doc: "Keepalive of upstream connections."},
	"Cluster.TCPUserTimeout":         {doc: "How long a peer may acknowledge nothing before it is given up; 0s = the kernel's own quarter of an hour. Not set towards this host's own addresses."},
	"Cluster.ProxyProtocol":          {doc: "Version of the PROXY header with the client's address that each upstream connection begins with; empty = none.", allowed: append(words(config.ProxyProtocolVersions()), "")},
	"Endpoint.Address":               {doc: "IP:port.", required: true},
	"Endpoint.Weight":                {doc: "Share of connections, relative to the other endpoints."},
	"CircuitBreakers.MaxConnections": {doc: "Upstream connections, those being dialled included."},
}
