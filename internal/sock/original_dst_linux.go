package sock

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OriginalDst4 is where an IPv4 connection wanted to go before netfilter
// redirected it (SO_ORIGINAL_DST in linux/netfilter_ipv4.h). ENOENT: conntrack
// knows nothing of it. ENOPROTOOPT: no NAT in this kernel or namespace.
func OriginalDst4(fd int) (netip.AddrPort, Errno) {
	return originalDst(fd, unix.IPPROTO_IP)
}

// OriginalDst6 is OriginalDst4 for IPv6 (IP6T_SO_ORIGINAL_DST in
// linux/netfilter_ipv6/ip6_tables.h).
func OriginalDst6(fd int) (netip.AddrPort, Errno) {
	return originalDst(fd, unix.IPPROTO_IPV6)
}

func originalDst(fd, level int) (netip.AddrPort, Errno) {
	s := sockaddr{len: unix.SizeofSockaddrInet6}
	if level == unix.IPPROTO_IP {
		s.len = unix.SizeofSockaddrInet4
	}
	// SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST have the same number, 80.
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), unix.SO_ORIGINAL_DST,
		uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&s.len)), 0)
	if errno != 0 {
		return netip.AddrPort{}, errno
	}
	return s.addrPort(), 0
}
