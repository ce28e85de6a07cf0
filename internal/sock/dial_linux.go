package sock

import (
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DialOptions are what an upstream socket is made with.
type DialOptions struct {
	// Source is the address to dial from; the zero AddrPort leaves it to the
	// kernel. With port 0 the port is chosen at connect, for this destination
	// alone (IP_BIND_ADDRESS_NO_PORT in ip(7)): one source address then has
	// all ephemeral ports for each destination, not for all together.
	Source      netip.AddrPort
	Transparent bool   // Source may be an address that is not this host's
	Mark        uint32 // SO_MARK in socket(7), for routing and firewalls; 0 = none
	Keepalive   Keepalive
	UserTimeout time.Duration // how long a peer may acknowledge nothing; 0 = the kernel's default
}

// Dial starts a connection to remote and returns while it is still being made:
// the socket turns writable when it is done, and TakeError tells how it went.
// The caller owns the descriptor. Errors are *Error and mean that nothing was
// sent.
func Dial(remote netip.AddrPort, o *DialOptions) (int, error) {
	var sa sockaddr
	family := sa.set(remote)
	fd, errno := socket(family)
	if errno != 0 {
		return -1, &Error{"socket for", remote, errno}
	}
	if err := dial(fd, family, remote, &sa, o); err != nil {
		Close(fd)
		return -1, err
	}
	return fd, nil
}

func dial(fd, family int, remote netip.AddrPort, sa *sockaddr, o *DialOptions) error {
	if errno := setStream(fd, o.Keepalive, o.UserTimeout); errno != 0 {
		return &Error{"TCP options for", remote, errno}
	}
	if o.Mark != 0 {
		if errno := setInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(o.Mark)); errno != 0 {
			return &Error{"SO_MARK for", remote, errno}
		}
	}
	if o.Source.Addr().IsValid() {
		if err := bindSource(fd, family, o); err != nil {
			return err
		}
	}
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa.raw)), uintptr(sa.len))
	if errno != 0 && errno != unix.EINPROGRESS {
		return &Error{"connect", remote, errno}
	}
	return nil
}

func bindSource(fd, family int, o *DialOptions) error {
	if o.Transparent {
		if errno := setTransparent(fd, family); errno != 0 {
			return &Error{"IP_TRANSPARENT", o.Source, errno}
		}
	}
	if o.Source.Port() == 0 {
		// The option lives at level IP for both families, see ip(7).
		if errno := setInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); errno != 0 {
			return &Error{"IP_BIND_ADDRESS_NO_PORT", o.Source, errno}
		}
	}
	var source sockaddr
	source.set(o.Source)
	if errno := bind(fd, &source); errno != 0 {
		return &Error{"bind", o.Source, errno}
	}
	return nil
}
