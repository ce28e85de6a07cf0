package sock

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ListenOptions are what a listening socket is made with. Accepted sockets
// inherit Keepalive (and TCP_NODELAY, which is always on).
type ListenOptions struct {
	ReusePort   bool // one socket for each event loop, SO_REUSEPORT in socket(7)
	Transparent bool // take connections to any address that TPROXY steers here
	Backlog     int  // 0 = the kernel's limit, net.core.somaxconn
	Keepalive   Keepalive
	Later       bool // only bind; BeginListening does the rest
}

// Error is a failed step on a socket: which one, on which address, and why.
type Error struct {
	Op    string // for example "bind" or "IP_TRANSPARENT"
	Addr  netip.AddrPort
	Errno Errno
}

// Error names step, address and reason.
func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Addr, e.Errno) }

// Unwrap gives the Errno, so that errors.Is(err, sock.EADDRINUSE) works.
func (e *Error) Unwrap() error { return e.Errno }

// Listen makes a listening socket on addr. IPv6 sockets take IPv6 only
// (IPV6_V6ONLY), so that 0.0.0.0 and [::] can stand side by side. The caller
// owns the descriptor. Errors are *Error.
func Listen(addr netip.AddrPort, o ListenOptions) (int, error) {
	var sa sockaddr
	family := sa.set(addr)
	fd, errno := socket(family)
	if errno != 0 {
		return -1, &Error{"socket", addr, errno}
	}
	if err := listen(fd, family, addr, &sa, o); err != nil {
		Close(fd)
		return -1, err
	}
	return fd, nil
}

func listen(fd, family int, addr netip.AddrPort, sa *sockaddr, o ListenOptions) error {
	if errno := setInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); errno != 0 {
		return &Error{"SO_REUSEADDR", addr, errno}
	}
	if o.ReusePort {
		if errno := setInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); errno != 0 {
			return &Error{"SO_REUSEPORT", addr, errno}
		}
	}
	if family == unix.AF_INET6 {
		if errno := setInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); errno != 0 {
			return &Error{"IPV6_V6ONLY", addr, errno}
		}
	}
	if o.Transparent {
		if errno := setTransparent(fd, family); errno != 0 {
			return &Error{"IP_TRANSPARENT", addr, errno}
		}
	}
	if errno := setStream(fd, o.Keepalive, 0); errno != 0 {
		return &Error{"TCP options", addr, errno}
	}
	if errno := bind(fd, sa); errno != 0 {
		return &Error{"bind", addr, errno}
	}
	if o.Later {
		return nil
	}
	if errno := BeginListening(fd, o.Backlog); errno != 0 {
		return &Error{"listen", addr, errno}
	}
	return nil
}

// BeginListening has the kernel queue connections to a socket that is bound
// (listen(2)); backlog is as in ListenOptions.
func BeginListening(fd, backlog int) Errno {
	if backlog == 0 {
		backlog = 1 << 20 // cut by the kernel to net.core.somaxconn
	}
	_, _, errno := unix.RawSyscall(unix.SYS_LISTEN, uintptr(fd), uintptr(backlog), 0)
	return errno
}

// AdoptListener makes a listening socket that another program has made on addr what
// Listen would have made it, as far as that can be changed afterwards. The
// descriptor stays the caller's. Errors are *Error.
func AdoptListener(fd int, addr netip.AddrPort, o ListenOptions) error {
	var sa sockaddr
	family := sa.set(addr)
	listens, errno := getInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if errno == 0 && listens == 0 {
		errno = EINVAL
	}
	if errno != 0 {
		return &Error{"SO_ACCEPTCONN", addr, errno}
	}
	if errno := NonBlocking(fd); errno != 0 {
		return &Error{"O_NONBLOCK", addr, errno}
	}
	if o.Transparent {
		if errno := setTransparent(fd, family); errno != 0 {
			return &Error{"IP_TRANSPARENT", addr, errno}
		}
	}
	if errno := setStream(fd, o.Keepalive, 0); errno != 0 {
		return &Error{"TCP options", addr, errno}
	}
	return nil
}

// SharesPort says whether this process may bind other sockets to a socket's address
// beside it: with SO_REUSEPORT, and if the socket is of the same user ("port
// hijacking" in socket(7)), which one that systemd has made is not.
func SharesPort(fd int) bool {
	shares, errno := getInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
	if errno != 0 || shares == 0 {
		return false
	}
	var owner unix.Stat_t
	return unix.Fstat(fd, &owner) == nil && int(owner.Uid) == unix.Geteuid()
}

func socket(family int) (int, Errno) {
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return int(fd), errno
}

func bind(fd int, sa *sockaddr) Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa.raw)), uintptr(sa.len))
	return errno
}

// Accept takes one connection from a listening socket (accept4(2)). The caller
// owns the new descriptor. EAGAIN means that none waits.
func Accept(fd int) (conn int, peer netip.AddrPort, errno Errno) {
	s := sockaddr{len: unix.SizeofSockaddrInet6}
	r, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)),
		uintptr(unsafe.Pointer(&s.len)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return int(r), s.addrPort(), 0
}

// Probe says whether addr can be bound, without SO_REUSEPORT: not even a socket
// that would share the port may listen there. Errors are *Error.
func Probe(addr netip.AddrPort) error {
	var sa sockaddr
	family := sa.set(addr)
	fd, errno := socket(family)
	if errno != 0 {
		return &Error{"socket", addr, errno}
	}
	defer Close(fd)
	setInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if family == unix.AF_INET6 {
		setInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if errno := bind(fd, &sa); errno != 0 {
		return &Error{"bind", addr, errno}
	}
	return nil
}
