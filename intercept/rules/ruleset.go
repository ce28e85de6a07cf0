package rules

import (
	"net/netip"
	"slices"
)

// The chains of istio-iptables. A chain by one of these names in nat or
// mangle is taken for ours. ISTIO_OUTPUT and ISTIO_INBOUND exist in both
// tables.
const (
	chainInbound    = "ISTIO_INBOUND"
	chainInRedirect = "ISTIO_IN_REDIRECT"
	chainOutput     = "ISTIO_OUTPUT"
	chainRedirect   = "ISTIO_REDIRECT"
	chainDivert     = "ISTIO_DIVERT"
	chainTProxy     = "ISTIO_TPROXY"
	chainDrop       = "ISTIO_DROP"
)

func ourChain(name string) bool {
	return slices.Contains([]string{chainInbound, chainInRedirect, chainOutput, chainRedirect,
		chainDivert, chainTProxy, chainDrop}, name)
}

// Tables that rules are installed in, in the order in which they are written.
const (
	tableMangle = "mangle"
	tableNAT    = "nat"
)

func tableNames() []string { return []string{tableMangle, tableNAT} }

// passthroughIPv6 is the one address that the kernel does not have by itself:
// all of 127.0.0.0/8 is local, but of ::/96 only ::1.
const passthroughIPv6 = "::6/128"

// Chain is one of our chains. Rules are written as iptables-save prints them,
// without the leading "-A NAME".
type Chain struct {
	Name  string
	Rules []string
}

func (c *Chain) add(rule string) { c.Rules = append(c.Rules, rule) }

// Jump is a rule of ours in a built-in chain. It has nothing but conditions
// and one of our chains as its target: by that it is found again.
type Jump struct {
	From string // PREROUTING or OUTPUT
	Rule string
}

// Table is what we have in one table of one family.
type Table struct {
	Name   string
	Chains []Chain
	Jumps  []Jump
}

// PolicyRoute sends packets with Mark to the routing table Table, whose one
// route takes every address for local. Without it a packet for a foreign
// address would not be delivered to the proxy's transparent socket.
type PolicyRoute struct {
	Mark  uint32
	Table uint32
}

// RuleSet is everything that is installed for one family.
type RuleSet struct {
	Family Family
	Tables []Table
	Route  *PolicyRoute  // nil: none
	Addr   *netip.Prefix // to be on lo; nil: none
}

// BuildAll checks the options and builds the rules for each family. No
// process is started and nothing is read.
func BuildAll(o Options, families []Family) ([]RuleSet, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	sets := make([]RuleSet, 0, len(families))
	for _, f := range families {
		sets = append(sets, build(o, f))
	}
	return sets, nil
}

func build(o Options, f Family) RuleSet {
	set := RuleSet{Family: f}
	if mangle := mangleTable(o, f); len(mangle.Chains) > 0 {
		set.Tables = append(set.Tables, mangle)
	}
	set.Tables = append(set.Tables, natTable(o, f))
	if o.tproxyInbound() {
		set.Route = &PolicyRoute{Mark: o.TProxyMark, Table: o.TProxyTable}
	}
	if f == IPv6 {
		addr := netip.MustParsePrefix(passthroughIPv6)
		set.Addr = &addr
	}
	return set
}
