package intercept

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// ErrNoOriginalDestination means that conntrack has no redirected connection
// for a socket of a redirecting listener: the client connected to the
// listener's own port, in a namespace without capture rules.
var ErrNoOriginalDestination = errors.New("no original destination")

// Mode is how connections come to a listener.
type Mode uint8

// The modes. Direct: clients connect to the listener's own address, which is
// the original destination. Redirect: by iptables REDIRECT, SO_ORIGINAL_DST
// tells. TProxy: by iptables TPROXY, the socket's local address tells.
const (
	Direct Mode = iota
	Redirect
	TProxy
)

// Captures says whether capture rules bring the connections.
func (m Mode) Captures() bool { return m != Direct }

// Turns is how often a connection may come through a listener of this mode; coming
// once more makes it a loop. REDIRECT takes two: after a connection was reset,
// conntrack remembers its ports and where it was sent for a while
// (nf_conntrack_tcp_timeout_close, 10 s), and when the daemon happens to dial the
// same destination from the same port, that connection is sent to the daemon too. It
// is no loop: the next one, from another port, goes where it should.
func (m Mode) Turns() int {
	if m == Redirect {
		return 2
	}
	return 1
}

// OriginalDestination is where the connection on fd, which came from peer,
// wanted to go. It wraps ErrNoOriginalDestination where there is none and
// should be one.
func (m Mode) OriginalDestination(fd int, peer netip.AddrPort) (netip.AddrPort, error) {
	if m != Redirect {
		if local := sock.LocalAddr(fd); local.IsValid() {
			return local, nil
		}
		return netip.AddrPort{}, fmt.Errorf("%w: getsockname of the connection from %s told none", ErrNoOriginalDestination, peer)
	}
	ask, option := sock.OriginalDst4, "SO_ORIGINAL_DST"
	if peer.Addr().Is6() {
		ask, option = sock.OriginalDst6, "IP6T_SO_ORIGINAL_DST"
	}
	destination, errno := ask(fd)
	if errno != 0 {
		return netip.AddrPort{}, fmt.Errorf("%w: %s of the connection from %s: %w", ErrNoOriginalDestination, option, peer, errno)
	}
	return destination, nil
}
