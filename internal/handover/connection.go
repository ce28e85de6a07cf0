package handover

import (
	"net/netip"
	"time"
)

// Connection is a relayed connection while it is between two processes: enough
// for the next one to go on where this one stopped.
type Connection struct {
	ID       uint64
	Listener string // by name, as chain and cluster
	Chain    string
	Cluster  string

	Direction string   // of the listener
	Trail     []string // bound listeners that it came through, by name and as often, for the loop guard

	Peer          netip.AddrPort // of the downstream socket
	Source        netip.AddrPort // the client, as a PROXY header told it
	Destination   netip.AddrPort // the original destination
	Endpoint      netip.AddrPort
	UpstreamLocal netip.AddrPort

	Accepted  time.Time
	Connected time.Time
	LastByte  time.Time
	Attempts  int // to connect

	ConnectTook time.Duration // the attempt that succeeded

	// For outlier detection: the endpoint's first byte is waited for, since the
	// client's first one was passed on (zero: not yet).
	FirstByteAwaited bool
	Asked            time.Time

	ServerName           string
	TransportProtocol    string
	ApplicationProtocols []string

	Inspected       bool   // somebody looked at the first bytes
	ServerNameKnown bool   // ServerName is what the client asked for, or it asked for none
	JA3, JA4        string // fingerprints of its ClientHello
	ProxyAuthority  []byte // TLVs of its PROXY header: bytes of any kind
	ProxyUniqueID   []byte
	RBACLogPolicy   string // the policy with action log that matched

	// Stored is the cookie of the downstream socket if a Store may have the connection,
	// and 0 if none has. Whoever closes it drops EntryName(Stored).
	Stored uint64

	FromDownstream Flow
	FromUpstream   Flow

	// Descriptors of the connection, which travel beside the record. Whoever
	// has the Connection owns them.
	Downstream int `json:"-"`
	Upstream   int `json:"-"`
}

// Flow is one direction of a Connection.
type Flow struct {
	Read    uint64 // bytes taken from the source
	Written uint64 // bytes given to the destination
	Waiting []byte // read and not written yet
	Ended   bool   // the source has sent FIN
	FinSent bool   // and the destination has been sent one
	Spliced bool   // some bytes went by splice
}
