package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/sluiceproxy/sluice/config"
)

// Compile makes rules ready to decide. Path is the key path of the rules, for
// problems; several Rules are told apart by their index. No rules at all let
// everything through. With any problem the RBAC refuses every connection, so
// that one used by mistake does no harm.
func Compile(path string, rules []Rules) (*RBAC, config.Problems) {
	c := compiler{}
	for i := range rules {
		c.at = path
		if len(rules) > 1 {
			c.at = fmt.Sprintf("%s[%d]", path, i)
		}
		c.rules(&rules[i])
	}
	if len(c.problems) > 0 {
		return &RBAC{allow: []compiled{nil}}, c.problems
	}
	return &c.rbac, nil
}

// compiler holds what is compiled so far, and where it is.
type compiler struct {
	rbac     RBAC
	problems config.Problems
	at       string  // key path of the rules or policy at hand
	policy   *Policy // at hand; nil between policies
}

func (c *compiler) report(field, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if c.policy != nil {
		message = fmt.Sprintf("policy %q: %s", c.policy.Name, message)
	}
	c.problems = append(c.problems, config.Problem{Path: c.at + "." + field, Message: message})
}

func (c *compiler) rules(r *Rules) {
	var to *[]compiled
	switch r.Action {
	case Allow:
		to = &c.rbac.allow
	case Deny:
		to = &c.rbac.deny
	case Log:
		to = &c.rbac.log
	default:
		c.report("action", "%q is none of allow, deny, log", string(r.Action))
		to = new([]compiled) // its policies may have problems too
	}
	if len(r.Policies) == 0 && (r.Action == Deny || r.Action == Log) {
		c.report("policies", "%s without a policy never matches; add one, or remove rbac", r.Action)
	}
	at, first := c.at, make(map[string]int)
	policies := make(compiled, len(r.Policies))
	for i := range r.Policies {
		c.at, c.policy = fmt.Sprintf("%s.policies[%d]", at, i), &r.Policies[i]
		name := c.policy.Name
		if other, ok := first[name]; ok {
			c.report("name", "policies[%d] has the same name; the access log could not tell them apart", other)
		} else {
			first[name] = i
		}
		policies[i] = c.compile()
	}
	c.at, c.policy = at, nil
	slices.SortFunc(policies, func(a, b policy) int { return cmp.Compare(a.name, b.name) })
	*to = append(*to, policies)
}

// compile makes the policy at hand.
func (c *compiler) compile() policy {
	p := c.policy
	if p.Name == "" {
		c.report("name", "is needed: the access log says by it who decided")
	}
	c.foreign()
	before := len(c.problems)
	out := policy{name: p.Name, details: details(p.Name)}
	for _, pair := range [][2]condition{
		{c.addrs(sourceIP, "source_ips", p.SourceIPs), c.addrs(sourceIP, "not_source_ips", p.NotSourceIPs)},
		{c.addrs(directSourceIP, "direct_source_ips", p.DirectSourceIPs), c.addrs(directSourceIP, "not_direct_source_ips", p.NotDirectSourceIPs)},
		{c.addrs(destinationIP, "destination_ips", p.DestinationIPs), c.addrs(destinationIP, "not_destination_ips", p.NotDestinationIPs)},
		{c.ports("destination_ports", p.DestinationPorts), c.ports("not_destination_ports", p.NotDestinationPorts)},
		{c.names("server_names", p.ServerNames), c.names("not_server_names", p.NotServerNames)},
	} {
		is, isNot := pair[0], pair[1]
		isNot.not = true
		if is.asks() {
			out.conditions = append(out.conditions, is)
		}
		if isNot.asks() {
			out.conditions = append(out.conditions, isNot)
			c.contradiction(&is, &isNot, before)
		}
		c.rbac.serverName = c.rbac.serverName || is.fact == serverName && (is.asks() || isNot.asks())
	}
	if p.Any && len(out.conditions) > 0 {
		c.report("any", "cannot stand beside %s: any is every connection; remove one of them", out.conditions[0].field)
	}
	if !p.Any && len(out.conditions) == 0 && len(p.Foreign) == 0 {
		c.report("any", "the policy has no condition; add one, or say any: true if it is for every connection")
	}
	return out
}

// contradiction reports a policy that no connection can match, once its lists
// are known to be right: before is how many problems there were.
func (c *compiler) contradiction(is, isNot *condition, before int) {
	if len(c.problems) > before {
		return
	}
	if is.asks() && isNot.covers(is) {
		c.report(isNot.field, "has all of %s, so the policy never matches", is.field)
	}
	if all, ok := everything(isNot.fact); ok && !is.asks() && isNot.covers(&all) {
		c.report(isNot.field, "has everything, so the policy never matches")
	}
}

// everything is a condition that every connection meets. For server names
// there is none: a client need not send one.
func everything(about fact) (condition, bool) {
	switch about {
	case serverName:
		return condition{}, false
	case destinationPort:
		return condition{fact: about, ports: newPorts([]PortRange{{1, 65535}})}, true
	}
	all := []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	return condition{fact: about, addrs: newAddrs(all)}, true
}

// details is what Envoy's network RBAC filter writes to
// CONNECTION_TERMINATION_DETAILS. White space would break lines that are split
// at it.
func details(name string) string {
	spaceless := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return '_'
		}
		return r
	}, name)
	return "rbac_access_denied_matched_policy[" + spaceless + "]"
}
