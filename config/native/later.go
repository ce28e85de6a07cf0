package native

// later lists the keys of the public configuration (docs: contract) that this
// version does not carry out, by model type, with what to do instead. They
// are refused rather than ignored: a policy that is silently not applied is
// worse than a daemon that does not start.
var later = map[string]map[string]string{
	"RBACPolicy": {
		"principals":     needsIdentity,
		"not_principals": needsIdentity,
		"namespaces":     needsIdentity,
		"not_namespaces": needsIdentity,
	},
}

// laterValues lists the values of supported keys that this version does not
// carry out, by model type of the value, with what to do instead.
var laterValues = map[string]map[string]string{
	"ClusterType": {"eds": "use type strict_dns, or static with the addresses as endpoints"},
}

const needsIdentity = "it needs the client's identity from mutual TLS; tell clients apart by source_ips or direct_source_ips"
