package policy

import "github.com/sluiceproxy/sluice/config"

// FromConfig is the rbac of a normalised filter chain, for Compile.
func FromConfig(chain *config.FilterChain) []Rules {
	rules := make([]Rules, len(chain.RBAC))
	for i := range chain.RBAC {
		r := &chain.RBAC[i]
		rules[i].Action = Action(r.Action)
		for j := range r.Policies {
			rules[i].Policies = append(rules[i].Policies, fromConfig(&r.Policies[j]))
		}
	}
	return rules
}

func fromConfig(p *config.RBACPolicy) Policy {
	return Policy{
		Name:                p.Name,
		Any:                 p.Any,
		SourceIPs:           p.SourceIPs,
		NotSourceIPs:        p.NotSourceIPs,
		DirectSourceIPs:     p.DirectSourceIPs,
		NotDirectSourceIPs:  p.NotDirectSourceIPs,
		DestinationIPs:      p.DestinationIPs,
		NotDestinationIPs:   p.NotDestinationIPs,
		DestinationPorts:    single(p.DestinationPorts),
		NotDestinationPorts: single(p.NotDestinationPorts),
		ServerNames:         p.ServerNames,
		NotServerNames:      p.NotServerNames,
	}
}

// single is one range for each port.
func single(ports []uint16) []PortRange {
	var ranges []PortRange
	for _, p := range ports {
		ranges = append(ranges, Port(p))
	}
	return ranges
}
