package native

// later lists the keys of the public configuration (docs: contract) that this
// version does not carry out, by model type, with what to do instead. They
// are refused rather than ignored: a policy that is silently not applied is
// worse than a daemon that does not start.
var later = map[string]map[string]string{
	"Config": {
		"app_health": "leave it out; probe the application's port from its own host",
	},
	"RBACPolicy": {
		"principals":     needsIdentity,
		"not_principals": needsIdentity,
		"namespaces":     needsIdentity,
		"not_namespaces": needsIdentity,
	},
	"TCPProxy": {
		"hash_policy": "leave it out; endpoints are taken in turn",
	},
	"Cluster": {
		"least_request":           "leave it out; lb_policy can be round_robin",
		"ring_hash":               "leave it out; lb_policy can be round_robin",
		"maglev":                  "leave it out; lb_policy can be round_robin",
		"slow_start":              "leave it out, or start new endpoints with a small weight",
		"healthy_panic_threshold": "leave it out; all endpoints count as healthy",
		"overprovisioning_factor": "leave it out; all endpoints have one priority",
		"locality_weighted":       "leave it out, and give the endpoints weights",
		"dns":                     "list the addresses as endpoints with type static",
		"health_checks":           "leave it out; an endpoint that refuses is followed by the next (max_connect_attempts)",
		"outlier_detection":       "leave it out; an endpoint that refuses is followed by the next (max_connect_attempts)",
		"on_endpoint_removed":     "leave it out; open connections are kept",
		"on_endpoint_unhealthy":   "leave it out; open connections are kept",
	},
	"Endpoint": {
		"priority":        "list only the endpoints that are to be used",
		"health_status":   "list only the endpoints that are healthy",
		"locality":        "leave it out, and give the endpoint a weight",
		"locality_weight": "leave it out, and give the endpoint a weight",
	},
	"CircuitBreakers": {
		"max_pending":                  "leave it out; max_connections counts connections being dialled too",
		"max_connections_per_endpoint": "leave it out; max_connections bounds the whole cluster",
		"track_remaining":              "leave it out",
	},
}

// laterValues lists the values of supported keys that this version does not
// carry out, by model type of the value, with what to do instead.
var laterValues = map[string]map[string]string{
	"ClusterType": {"strict_dns": useStatic, "logical_dns": useStatic, "eds": useStatic},
	"LBPolicy":    {"least_request": useRoundRobin, "random": useRoundRobin, "ring_hash": useRoundRobin, "maglev": useRoundRobin},
}

const (
	needsIdentity = "it needs the client's identity from mutual TLS; tell clients apart by source_ips or direct_source_ips"
	useStatic     = "use type static with the addresses as endpoints"
	useRoundRobin = "use lb_policy round_robin"
)
