package config

import (
	"net/netip"
	"time"
)

// RBAC is rules with one action. Of several on one chain deny is looked at
// before allow, and each must let a connection through.
type RBAC struct {
	Action   RBACAction
	Policies []RBACPolicy // one that matches is enough; allow without any refuses everything
}

// RBACAction is what rules do with the connections that their policies match.
type RBACAction string

// The actions, as Envoy's envoy.config.rbac.v3.RBAC.Action.
const (
	RBACAllow RBACAction = "allow" // refuse what no policy matches
	RBACDeny  RBACAction = "deny"  // refuse what a policy matches
	RBACLog   RBACAction = "log"   // refuse nothing; the access log and a counter tell of matches
)

// RBACActions are the allowed values of RBAC.Action.
func RBACActions() []RBACAction { return []RBACAction{RBACAllow, RBACDeny, RBACLog} }

// RBACPolicy is a conjunction: each list that is not empty must hold. A list
// holds when one of its values fits, a Not list when none does.
type RBACPolicy struct {
	Name string // for connection_termination_details
	Any  bool   // every connection; instead of conditions

	SourceIPs           []netip.Prefix // the client, as a PROXY header tells it
	NotSourceIPs        []netip.Prefix
	DirectSourceIPs     []netip.Prefix // the socket's peer
	NotDirectSourceIPs  []netip.Prefix
	DestinationIPs      []netip.Prefix // the original destination
	NotDestinationIPs   []netip.Prefix
	DestinationPorts    []uint16
	NotDestinationPorts []uint16
	ServerNames         []string // a.example, *.example (names below it), or * (any name at all)
	NotServerNames      []string
}

// conditional tells whether a policy has any condition.
func (p *RBACPolicy) conditional() bool {
	return len(p.SourceIPs)+len(p.NotSourceIPs)+len(p.DirectSourceIPs)+len(p.NotDirectSourceIPs)+
		len(p.DestinationIPs)+len(p.NotDestinationIPs)+len(p.DestinationPorts)+len(p.NotDestinationPorts)+
		len(p.ServerNames)+len(p.NotServerNames) > 0
}

// ConnectionLimit bounds the live connections of a filter chain.
type ConnectionLimit struct{ MaxConnections int }

// LocalRateLimit is how many new connections a filter chain takes: MaxTokens
// at once, and TokensPerFill more after each FillInterval, up to MaxTokens.
type LocalRateLimit struct {
	MaxTokens     uint32
	TokensPerFill uint32
	FillInterval  time.Duration
}

// MostTokens is the largest LocalRateLimit.MaxTokens: within it a bucket can
// count until the clock itself ends. MinFillInterval is Envoy's.
const (
	MostTokens      = 1 << 25
	MinFillInterval = 50 * time.Millisecond
)

// DefaultLocalRateLimit is a rate limit that only lacks its figures. One token
// for a fill is the default of Envoy's TokenBucket.
func DefaultLocalRateLimit() LocalRateLimit { return LocalRateLimit{TokensPerFill: 1} }
