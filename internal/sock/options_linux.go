package sock

import (
	"math/rand/v2"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Keepalive is how TCP finds out that a silent peer is gone (tcp(7)). Idle 0
// leaves keepalive off.
type Keepalive struct {
	Idle     time.Duration // silence before the first probe
	Interval time.Duration // between probes
	Probes   int           // unanswered probes that end the connection
}

// Spread is k with an idle time and an interval that are shorter by a random
// part, up to a half, in whole seconds. Connections that were opened together
// would else be probed in one instant, and the kernel's queue for packets to its
// own host, 1000 for each core (net.core.netdev_max_backlog), would lose most of
// the probes, each time the same (docs/decisions/0006-keepalive-spread.md).
func (k Keepalive) Spread() Keepalive {
	k.Idle, k.Interval = spread(k.Idle), spread(k.Interval)
	return k
}

func spread(d time.Duration) time.Duration {
	seconds := int64(d / 2 / time.Second)
	return d - time.Duration(rand.Int64N(seconds+1))*time.Second
}

// SetKeepalive changes the keepalive of a socket, Idle 0 turns it off. On a
// listening one it is for the connections that come from now on.
func SetKeepalive(fd int, k Keepalive) {
	if k.Idle > 0 {
		setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Probes)
		SetKeepaliveTimes(fd, k)
		setInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	} else {
		setInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
}

// SetKeepaliveTimes changes only the times of a socket that has keepalive on.
func SetKeepaliveTimes(fd int, k Keepalive) {
	setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, wholeSeconds(k.Idle))
	setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, wholeSeconds(k.Interval))
}

func setInt(fd, level, option, value int) Errno {
	v := int32(value)
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
	return errno
}

func getInt(fd, level, option int) (int, Errno) {
	var v int32
	size := uint32(unsafe.Sizeof(v))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	return int(v), errno
}

// setStream sets what every TCP socket of the daemon has: no Nagle delay (the
// application's own choice of segments is kept as it comes), keepalive and,
// where given, an end to waiting for dead peers (see setDeadPeer). Sockets
// accepted from a listening socket inherit all three.
func setStream(fd int, keepalive Keepalive, userTimeout time.Duration) Errno {
	if errno := setInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); errno != 0 {
		return errno
	}
	if keepalive.Idle > 0 {
		options := [...]struct{ level, option, value int }{
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, wholeSeconds(keepalive.Idle)},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, wholeSeconds(keepalive.Interval)},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepalive.Probes},
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		}
		for _, o := range options {
			if errno := setInt(fd, o.level, o.option, o.value); errno != 0 {
				return errno
			}
		}
	}
	if userTimeout > 0 {
		return setDeadPeer(fd, userTimeout)
	}
	return 0
}

func wholeSeconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}

// setTransparent allows fd to have an address that is not this host's
// (IP_TRANSPARENT in ip(7)); it needs CAP_NET_ADMIN or CAP_NET_RAW.
func setTransparent(fd, family int) Errno {
	if family == unix.AF_INET6 {
		return setInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1)
	}
	return setInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)
}

// TakeError returns and clears the error that waits on the socket (SO_ERROR in
// socket(7)): after a non-blocking connect, its result.
func TakeError(fd int) Errno {
	v, errno := getInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if errno != 0 {
		return errno
	}
	return Errno(v)
}

// Unread is how many bytes have arrived at a socket that were not read yet
// (SIOCINQ in tcp(7)).
func Unread(fd int) int {
	n, errno := queued(fd, unix.SIOCINQ)
	if errno != 0 {
		return 0
	}
	return n
}

// Unsent is how many bytes the peer has not acknowledged yet (SIOCOUTQ in
// tcp(7)), and 0 when the kernel does not tell.
func Unsent(fd int) int {
	n, errno := queued(fd, unix.SIOCOUTQ)
	if errno != 0 {
		return 0
	}
	return n
}
