package inspect

import "net/netip"

// What can be wrong with a PROXY header.
const (
	BadLine        Reason = "a PROXY v1 line that is not \"PROXY TCP4|TCP6|UNKNOWN SOURCE DESTINATION PORT PORT\" with single spaces and CRLF"
	LongLine       Reason = "a PROXY v1 line of more than 107 bytes"
	BadAddress     Reason = "a PROXY header with an address that is malformed, of the wrong family, unspecified, multicast or broadcast"
	BadPort        Reason = "a PROXY v1 line with a port that is no number from 0 to 65535"
	BadVersion     Reason = "a PROXY header with the signature of v2 and another version"
	BadCommand     Reason = "a PROXY v2 header with a command other than LOCAL and PROXY"
	BadFamily      Reason = "a PROXY v2 header with an address family other than IPv4 and IPv6, or a transport other than stream and datagram"
	ShortAddresses Reason = "a PROXY v2 header that is too short for its addresses"
	BadTLV         Reason = "a PROXY v2 header with a TLV that does not end where the header does, or is longer than allowed"
	BadChecksum    Reason = "a PROXY v2 header whose CRC32C checksum is wrong"
)

const (
	proxySignature1 = "PROXY"
	proxySignature2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// ProxyHeader is what a PROXY protocol header says, v1 or v2:
// https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt.
type ProxyHeader struct {
	// Version is 1 or 2. It is set as soon as the first bytes tell, also where
	// the answer is More or Malformed, so that a version that is not allowed
	// can be refused before anything else of it is read.
	Version uint8
	// Local means that the header gives no addresses, and the socket's own
	// count: LOCAL of v2, UNKNOWN of v1.
	Local bool
	// Source and Destination are those of the connection that the sender
	// received. An IPv4 address in IPv6 form is returned as IPv4: it is the
	// same host, and must not slip through the rules for it.
	Source, Destination netip.AddrPort
	// TLVs are the additions of v2; empty with LOCAL.
	TLVs TLVs
}

// Parse reads the header at the beginning of a stream, of which prefix is what
// came so far; Verdict.Bytes is then the length to consume. limit bounds how
// many bytes of the stream may be looked at; a header of v2 may have 65,551.
//
// It is strict where the specification is and Envoy is not: nothing but single
// spaces in v1, no leading zeros, no bare CR or LF, a checksum that is there
// is right. Like Envoy it refuses v2's UNSPEC and unix addresses, and
// addresses that no TCP connection can have.
func (p *ProxyHeader) Parse(prefix []byte, limit int) Verdict {
	*p = ProxyHeader{}
	prefix = within(prefix, limit)
	if n := min(len(prefix), len(proxySignature2)); n > 0 && string(prefix[:n]) == proxySignature2[:n] {
		if n < len(proxySignature2) {
			return more(n+1, limit)
		}
		p.Version = 2
		return p.parseV2(prefix, limit)
	}
	n := min(len(prefix), len(proxySignature1))
	if string(prefix[:n]) != proxySignature1[:n] {
		return Verdict{State: Foreign}
	}
	if n < len(proxySignature1) {
		return more(n+1, limit)
	}
	p.Version = 1
	return p.parseV1(prefix, limit)
}

// endpoint tells whether a TCP connection can have the address, as Envoy asks.
func endpoint(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
