package handover

import "net/netip"

// Kinds of listening sockets.
const (
	Traffic   = "traffic"   // of a configured listener
	Admin     = "admin"     // and the ports beside them
	Metrics   = "metrics"   //
	Readiness = "readiness" //
)

// ListenerSocket is a listening socket while it is between two processes. Its
// queue of connections goes with it: both processes have the same socket.
type ListenerSocket struct {
	Listener string // by name
	Address  netip.AddrPort
	Loop     int // that accepts from it, as listeners have one for each
	Kind     string

	// FD travels beside the record. Whoever has the ListenerSocket owns it.
	FD int `json:"-"`
}
