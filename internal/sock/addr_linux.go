package sock

import (
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is room for an IPv4 or IPv6 address as the kernel writes it.
type sockaddr struct {
	raw unix.RawSockaddrInet6
	len uint32
}

// set stores addr and returns the address family of a socket that can use it.
// The zero AddrPort must not be passed. IPv4-mapped addresses count as IPv4.
func (s *sockaddr) set(addr netip.AddrPort) (family int) {
	ip := addr.Addr()
	if ip.Is4() || ip.Is4In6() {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		*in4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: hostToNetwork(addr.Port()), Addr: ip.Unmap().As4()}
		s.len = unix.SizeofSockaddrInet4
		return unix.AF_INET
	}
	s.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: hostToNetwork(addr.Port()), Addr: ip.As16(), Scope_id: zoneID(ip)}
	s.len = unix.SizeofSockaddrInet6
	return unix.AF_INET6
}

// addrPort is the stored address; the zero AddrPort where it is no IP address.
func (s *sockaddr) addrPort() netip.AddrPort {
	switch s.raw.Family {
	case unix.AF_INET:
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), hostToNetwork(in4.Port))
	case unix.AF_INET6:
		ip := netip.AddrFrom16(s.raw.Addr).Unmap()
		if s.raw.Scope_id != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(s.raw.Scope_id), 10))
		}
		return netip.AddrPortFrom(ip, hostToNetwork(s.raw.Port))
	}
	return netip.AddrPort{}
}

// zoneID is the interface number of a link-local address. Zones are numbers
// here because they come from the kernel that way.
func zoneID(ip netip.Addr) uint32 {
	if ip.Zone() == "" {
		return 0 // most addresses; ParseUint would allocate an error for them
	}
	id, err := strconv.ParseUint(ip.Zone(), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(id)
}

// hostToNetwork swaps the bytes of a port; it is its own inverse. Every Linux
// that Go runs this package on by test is little-endian; the native order is
// asked all the same.
func hostToNetwork(port uint16) uint16 {
	b := [2]byte{byte(port >> 8), byte(port)}
	return *(*uint16)(unsafe.Pointer(&b))
}

// LocalAddr is the address that fd is bound to (getsockname(2)); the zero
// AddrPort when the kernel does not tell.
func LocalAddr(fd int) netip.AddrPort {
	return askAddr(unix.SYS_GETSOCKNAME, fd)
}

// PeerAddr is the address at fd's other end (getpeername(2)); the zero
// AddrPort when there is none any more.
func PeerAddr(fd int) netip.AddrPort {
	return askAddr(unix.SYS_GETPEERNAME, fd)
}

func askAddr(call uintptr, fd int) netip.AddrPort {
	s := sockaddr{len: unix.SizeofSockaddrInet6}
	_, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&s.len)))
	if errno != 0 {
		return netip.AddrPort{}
	}
	return s.addrPort()
}
