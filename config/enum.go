package config

// LogLevels are the allowed values of Log.Level.
func LogLevels() []string { return []string{"debug", "info", "warn", "error"} }

// LogFormats are the allowed values of Log.Format.
func LogFormats() []string { return []string{"json", "console"} }

// LogEvents are the allowed members of AccessLog.LogOn.
func LogEvents() []LogEvent { return []LogEvent{LogStart, LogConnected, LogEnd} }

// DrainStrategies are the allowed values of Drain.Strategy.
func DrainStrategies() []DrainStrategy { return []DrainStrategy{DrainGradual, DrainImmediate} }

// Directions are the allowed values of Listener.Direction.
func Directions() []Direction { return []Direction{Inbound, Outbound, Unspecified} }

// InterceptionModes are the allowed values of Listener.InterceptionMode.
func InterceptionModes() []InterceptionMode {
	return []InterceptionMode{InterceptNone, InterceptRedirect, InterceptTProxy}
}

// SourceTypes are the allowed values of Match.SourceType.
func SourceTypes() []SourceType { return []SourceType{SourceAny, SourceLocal, SourceExternal} }

// ListenerFilters are the allowed members of Listener.ListenerFilters.
func ListenerFilters() []ListenerFilter {
	return []ListenerFilter{FilterProxyProtocol, FilterTLS, FilterHTTP}
}

// ProxyProtocolVersions are the allowed members of
// ProxyProtocol.DisallowedVersions, and values of Cluster.ProxyProtocol, which
// may also be left out.
func ProxyProtocolVersions() []ProxyProtocolVersion {
	return []ProxyProtocolVersion{ProxyProtocolV1, ProxyProtocolV2}
}

// ClusterTypes are the allowed values of Cluster.Type.
func ClusterTypes() []ClusterType {
	return []ClusterType{ClusterStatic, ClusterStrictDNS, ClusterLogicalDNS, ClusterOriginalDst}
}

// LBPolicies are the allowed values of Cluster.LBPolicy.
func LBPolicies() []LBPolicy {
	return []LBPolicy{RoundRobin, LeastRequest, Random, RingHash, Maglev}
}

// HealthStatuses are the allowed values of Endpoint.HealthStatus.
func HealthStatuses() []HealthStatus {
	return []HealthStatus{HealthUnknown, HealthHealthy, HealthUnhealthy, HealthDegraded, HealthDraining, HealthTimeout}
}

// LookupFamilies are the allowed values of DNS.LookupFamily.
func LookupFamilies() []LookupFamily {
	return []LookupFamily{LookupAuto, LookupV4Only, LookupV6Only, LookupV4Preferred, LookupAll}
}

// OpenConnectionsActions are the allowed values of Cluster.OnEndpointRemoved
// and Cluster.OnEndpointUnhealthy.
func OpenConnectionsActions() []OpenConnections {
	return []OpenConnections{KeepConnections, DrainConnections, CloseConnections}
}

// HealthCheckTypes are the allowed values of HealthCheck.Type.
func HealthCheckTypes() []HealthCheckType {
	return []HealthCheckType{HealthCheckTCP, HealthCheckHTTP, HealthCheckGRPC}
}
