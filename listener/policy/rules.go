package policy

import "net/netip"

// Action is what rules do with the connections that their policies match.
type Action string

// Allow refuses every connection that no policy matches. Deny refuses those
// that a policy matches. Log refuses none, it only marks them for the log
// (Envoy's envoy.config.rbac.v3.RBAC.Action).
const (
	Allow Action = "allow"
	Deny  Action = "deny"
	Log   Action = "log"
)

// Rules are policies with one action, of which it is enough that one matches.
// Allow without any policy refuses everything, as Istio's allow-nothing.
type Rules struct {
	Action   Action
	Policies []Policy
}

// Policy is a conjunction: each list that is not empty must hold. A list
// holds when one of its values fits, a Not list when none does. Without any
// list a policy is a mistake, unless Any says that it means every connection.
type Policy struct {
	Name string // for the access log; no two policies of the same Rules share one
	Any  bool

	SourceIPs          []netip.Prefix // the client, as PROXY protocol tells it
	NotSourceIPs       []netip.Prefix
	DirectSourceIPs    []netip.Prefix // the socket's peer
	NotDirectSourceIPs []netip.Prefix

	DestinationIPs      []netip.Prefix // the original destination
	NotDestinationIPs   []netip.Prefix
	DestinationPorts    []PortRange
	NotDestinationPorts []PortRange

	ServerNames    []string // a.example, *.example (names below it, at any depth), or * (any name at all)
	NotServerNames []string

	// Foreign names the conditions that a front door found and that have no
	// field here. One is enough to refuse the policy: leaving out a condition
	// would let in whom its author wanted out.
	Foreign []string
}

// PortRange is ports from First to Last, both included.
type PortRange struct{ First, Last uint16 }

// Port is the range of one port.
func Port(p uint16) PortRange { return PortRange{p, p} }
