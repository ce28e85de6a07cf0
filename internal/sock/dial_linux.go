package sock

import (
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// claimTries is how many ports are offered to DialOptions.Claim.
const claimTries = 16

// DialOptions are what an upstream socket is made with.
type DialOptions struct {
	// Source is the address to dial from; the zero AddrPort leaves it to the
	// kernel. With port 0 the port is chosen at connect, for this destination
	// alone (IP_BIND_ADDRESS_NO_PORT in ip(7)): one source address then has
	// all ephemeral ports for each destination, not for all together.
	Source      netip.AddrPort
	Transparent bool   // Source may be an address that is not this host's
	Mark        uint32 // SO_MARK in socket(7), for routing and firewalls; 0 = none
	// Claim, if given, is asked for each source address that the kernel chose,
	// before the first packet leaves; false has another port tried.
	Claim       func(source netip.AddrPort) bool
	Keepalive   Keepalive
	UserTimeout time.Duration // how long a peer may acknowledge nothing; 0 = the kernel's default
	Descriptors int           // a socket with this number or a higher one fails with EMFILE; 0 = any will do

	// DelayAck holds back the last packet of the handshake for up to 200 ms, to
	// send it with the first bytes (TCP_QUICKACK in tcp(7)). After a Reset in
	// that time the peer's kernel has shown that it listens, and its application
	// never hears of the connection.
	DelayAck bool
}

// Dial starts a connection to remote and returns while it is still being made:
// the socket turns writable when it is done, and TakeError tells how it went.
// The caller owns the descriptor. Errors are *Error and mean that nothing was
// sent.
func Dial(remote netip.AddrPort, o *DialOptions) (int, error) {
	if o.Claim != nil {
		return dialClaimed(remote, o)
	}
	fd, err := prepare(remote, o)
	if err != nil {
		return -1, err
	}
	return connect(fd, remote)
}

// dialClaimed is Dial for sockets whose port must please somebody before the
// first packet leaves. Refused sockets are held until one pleases, so that the
// kernel does not choose their ports again.
func dialClaimed(remote netip.AddrPort, o *DialOptions) (int, error) {
	var refused [claimTries]int
	for try := range claimTries {
		fd, err := prepare(remote, o)
		if err == nil && o.Claim(LocalAddr(fd)) {
			closeAll(refused[:try])
			return connect(fd, remote)
		}
		if err != nil {
			closeAll(refused[:try])
			return -1, err
		}
		refused[try] = fd
	}
	closeAll(refused[:])
	return -1, &Error{"claim a port for", o.Source, EADDRNOTAVAIL}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		Close(fd)
	}
}

// prepare makes a socket that is ready to connect to remote.
func prepare(remote netip.AddrPort, o *DialOptions) (int, error) {
	var sa sockaddr
	family := sa.set(remote)
	fd, errno := socket(family)
	if errno != 0 {
		return -1, &Error{"socket for", remote, errno}
	}
	if o.Descriptors > 0 && fd >= o.Descriptors {
		Close(fd)
		return -1, &Error{"socket for", remote, EMFILE}
	}
	if err := setDialOptions(fd, family, remote, o); err != nil {
		Close(fd)
		return -1, err
	}
	return fd, nil
}

func connect(fd int, remote netip.AddrPort) (int, error) {
	var sa sockaddr
	sa.set(remote)
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa.raw)), uintptr(sa.len))
	if errno != 0 && errno != unix.EINPROGRESS {
		Close(fd)
		return -1, &Error{"connect", remote, errno}
	}
	return fd, nil
}

func setDialOptions(fd, family int, remote netip.AddrPort, o *DialOptions) error {
	if errno := setStream(fd, o.Keepalive, o.UserTimeout); errno != 0 {
		return &Error{"TCP options for", remote, errno}
	}
	if o.Mark != 0 {
		if errno := setInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(o.Mark)); errno != 0 {
			return &Error{"SO_MARK for", remote, errno}
		}
	}
	if o.DelayAck {
		if errno := setInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0); errno != 0 {
			return &Error{"TCP_QUICKACK for", remote, errno}
		}
	}
	if o.Source.Addr().IsValid() {
		return bindSource(fd, family, o)
	}
	return nil
}

func bindSource(fd, family int, o *DialOptions) error {
	if o.Transparent {
		if errno := setTransparent(fd, family); errno != 0 {
			return &Error{"IP_TRANSPARENT", o.Source, errno}
		}
	}
	if o.Claim != nil {
		// The port is chosen now. Sockets that are not listening share one as
		// long as their destinations differ, and pass over TIME_WAIT.
		if errno := setInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); errno != 0 {
			return &Error{"SO_REUSEADDR", o.Source, errno}
		}
	} else if o.Source.Port() == 0 {
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
