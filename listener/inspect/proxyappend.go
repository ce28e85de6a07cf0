package inspect

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// AppendV1 appends a PROXY v1 header for a connection from source to
// destination, in at most 107 bytes. Without one of the addresses it is
// UNKNOWN, by which receivers take the addresses of the socket. Where one is
// IPv4 and the other IPv6, both are written as IPv6.
func AppendV1(dst []byte, source, destination netip.AddrPort) []byte {
	s, d := sameFamily(source.Addr(), destination.Addr())
	switch {
	case !s.IsValid():
		return append(dst, "PROXY UNKNOWN\r\n"...)
	case s.Is4():
		dst = append(dst, "PROXY TCP4 "...)
	default:
		dst = append(dst, "PROXY TCP6 "...)
	}
	dst = append(s.AppendTo(dst), ' ')
	dst = append(d.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(source.Port()), 10), ' ')
	return append(strconv.AppendUint(dst, uint64(destination.Port()), 10), "\r\n"...)
}

// AppendV2 appends a PROXY v2 header for a TCP connection from source to
// destination, in at most 52 bytes. Without one of the addresses it is LOCAL,
// by which receivers take the addresses of the socket. Where one is IPv4 and
// the other IPv6, both are written as IPv6.
func AppendV2(dst []byte, source, destination netip.AddrPort) []byte {
	s, d := sameFamily(source.Addr(), destination.Addr())
	dst = append(dst, proxySignature2...)
	if !s.IsValid() {
		return append(dst, version2<<4|commandLocal, 0, 0, 0)
	}
	dst = append(dst, version2<<4|commandProxy)
	if s.Is4() {
		dst = append(dst, familyIPv4<<4|transportTCP, 0, addresses4)
		s4, d4 := s.As4(), d.As4()
		dst = append(append(dst, s4[:]...), d4[:]...)
	} else {
		dst = append(dst, familyIPv6<<4|transportTCP, 0, addresses6)
		s16, d16 := s.As16(), d.As16()
		dst = append(append(dst, s16[:]...), d16[:]...)
	}
	dst = binary.BigEndian.AppendUint16(dst, source.Port())
	return binary.BigEndian.AppendUint16(dst, destination.Port())
}

// sameFamily brings two addresses into one family, without zones, which mean
// nothing to another host; both are invalid when one is.
func sameFamily(a, b netip.Addr) (netip.Addr, netip.Addr) {
	if !a.IsValid() || !b.IsValid() {
		return netip.Addr{}, netip.Addr{}
	}
	a, b = a.Unmap().WithZone(""), b.Unmap().WithZone("")
	if a.Is4() != b.Is4() {
		a, b = netip.AddrFrom16(a.As16()), netip.AddrFrom16(b.As16())
	}
	return a, b
}
