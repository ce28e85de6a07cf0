package rules

// Family is an address family: each has its own tables, tools and routes.
type Family int

// The families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// String is IPv4 or IPv6, for people.
func (f Family) String() string {
	if f == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// loopback is what "localhost" means in a rule: exactly the one address, as
// in Istio, because the rest of 127.0.0.0/8 is used by the capture itself.
func (f Family) loopback() string {
	if f == IPv6 {
		return "::1/128"
	}
	return "127.0.0.1/32"
}

// passthrough is the address that the proxy binds to when it connects to the
// application (upstream_bind_address of InboundPassthroughCluster), by which
// its connection is known to need no second capture.
func (f Family) passthrough() string {
	if f == IPv6 {
		return passthroughIPv6
	}
	return "127.0.0.6/32"
}

func (f Family) anyAddress() string {
	if f == IPv6 {
		return "::"
	}
	return "0.0.0.0"
}

func (f Family) saveTool() string {
	if f == IPv6 {
		return "ip6tables-save"
	}
	return "iptables-save"
}

func (f Family) restoreTool() string {
	if f == IPv6 {
		return "ip6tables-restore"
	}
	return "iptables-restore"
}

func (f Family) ipFlag() string {
	if f == IPv6 {
		return "-6"
	}
	return "-4"
}
