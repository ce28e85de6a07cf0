package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// mappedBits is the length of ::ffff:0:0/96, where IPv4 lies in IPv6.
const mappedBits = 96

// asks tells whether the condition's list had anything in it.
func (c *condition) asks() bool { return c.field != "" }

func (c *compiler) addrs(about fact, field string, prefixes []netip.Prefix) condition {
	if len(prefixes) == 0 {
		return condition{fact: about}
	}
	var good []netip.Prefix
	for _, p := range prefixes {
		switch {
		case !p.IsValid():
			c.report(field, "has an entry that is not an address range; write it as 10.4.0.0/16 or fd00::/8")
			continue
		case p.Addr().Is4In6() && p.Bits() < mappedBits:
			c.report(field, "%v holds IPv4 and other addresses; write the IPv4 range itself", p)
			continue
		case p.Addr().Is4In6():
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
		}
		good = append(good, p)
	}
	return condition{fact: about, field: field, addrs: newAddrs(good)}
}

func (c *compiler) ports(field string, ranges []PortRange) condition {
	if len(ranges) == 0 {
		return condition{fact: destinationPort}
	}
	var good []PortRange
	for _, r := range ranges {
		switch {
		case r.First == 0:
			c.report(field, "port 0 is no destination; ports are 1 to 65535")
		case r.First > r.Last:
			c.report(field, "%d-%d is empty; the lower port comes first", r.First, r.Last)
		default:
			good = append(good, r)
		}
	}
	return condition{fact: destinationPort, field: field, ports: newPorts(good)}
}

func (c *compiler) names(field string, patterns []string) condition {
	if len(patterns) == 0 {
		return condition{fact: serverName}
	}
	var good []string
	for _, pattern := range patterns {
		if err := checkName(pattern); err != nil {
			c.report(field, "%q: %v", pattern, err)
			continue
		}
		good = append(good, pattern)
	}
	return condition{fact: serverName, field: field, names: newNames(good)}
}

// foreign reports what the policy at hand asks and nobody here can answer.
func (c *compiler) foreign() {
	for _, field := range c.policy.Foreign {
		if slices.Contains(identityFields(), strings.TrimPrefix(strings.ToLower(field), "not_")) {
			c.report(field, "needs the client's identity from mutual TLS, which sluice does not terminate; tell clients apart by source_ips or direct_source_ips")
			continue
		}
		c.report(field, "is not known; there are source_ips, direct_source_ips, destination_ips, destination_ports and server_names, each with a not_ twin, and any")
	}
}

// identityFields are the names that Envoy's Principal and Istio's
// AuthorizationPolicy give to what comes from a client's certificate.
func identityFields() []string {
	return []string{"authenticated", "principal_name", "principals", "namespaces", "service_accounts", "serviceaccounts",
		"trust_domains", "source_principal", "source_namespace", "mtls_authenticated"}
}
