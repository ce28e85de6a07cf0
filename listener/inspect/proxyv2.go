package inspect

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// The parts of a v2 header: section 2.2.
const (
	headerV2     = 16
	version2     = 0x2
	commandLocal = 0x0
	commandProxy = 0x1
	familyIPv4   = 0x1
	familyIPv6   = 0x2
	transportTCP = 0x1
	transportUDP = 0x2
	addresses4   = 2*4 + 2*2
	addresses6   = 2*16 + 2*2
)

// parseV2 reads a header whose signature is there.
func (p *ProxyHeader) parseV2(prefix []byte, limit int) Verdict {
	if len(prefix) < headerV2 {
		// Its fourth last byte tells whether to wait for the others.
		if len(prefix) > len(proxySignature2) && prefix[12]>>4 != version2 {
			return malformed(BadVersion)
		}
		return more(len(prefix)+1, limit)
	}
	command, family, transport := prefix[12]&0xf, prefix[13]>>4, prefix[13]&0xf
	size := int(binary.BigEndian.Uint16(prefix[14:]))
	if prefix[12]>>4 != version2 {
		return malformed(BadVersion)
	}
	need, reason := addressSize(command, family, transport)
	if reason != "" {
		return malformed(reason)
	}
	if size < need {
		return malformed(ShortAddresses)
	}
	if len(prefix) < headerV2+size {
		return more(headerV2+size, limit)
	}
	header := prefix[: headerV2+size : headerV2+size]
	if command == commandLocal {
		p.Local = true // and the rest is to be discarded, whatever it is
		return Verdict{State: Done, Bytes: len(header)}
	}
	if reason := p.readV2(header, need); reason != "" {
		p.Source, p.Destination, p.TLVs = netip.AddrPort{}, netip.AddrPort{}, nil
		return malformed(reason)
	}
	return Verdict{State: Done, Bytes: len(header)}
}

// addressSize is how long the addresses are.
func addressSize(command, family, transport byte) (int, Reason) {
	switch {
	case command == commandLocal:
		return 0, ""
	case command != commandProxy:
		return 0, BadCommand
	case transport != transportTCP && transport != transportUDP:
		return 0, BadFamily
	case family == familyIPv4:
		return addresses4, ""
	case family == familyIPv6:
		return addresses6, ""
	}
	return 0, BadFamily
}

// readV2 reads the addresses and checks the TLVs of a whole header.
func (p *ProxyHeader) readV2(header []byte, addresses int) Reason {
	b := header[headerV2:]
	n := (addresses - 4) / 2
	source, _ := netip.AddrFromSlice(b[:n])
	destination, _ := netip.AddrFromSlice(b[n : 2*n])
	source, destination = source.Unmap(), destination.Unmap()
	if !endpoint(source) || !endpoint(destination) {
		return BadAddress
	}
	p.Source = netip.AddrPortFrom(source, binary.BigEndian.Uint16(b[2*n:]))
	p.Destination = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(b[2*n+2:]))
	p.TLVs = TLVs(b[addresses:])
	return checkTLVs(header, headerV2+addresses)
}

// checkTLVs checks that the TLVs from an offset on fill the header, and those
// whose form is fixed.
func checkTLVs(header []byte, at int) Reason {
	checked := false
	for r := reader(header[at:]); len(r) > 0; {
		kind, _ := r.u8()
		value, ok := r.prefixed16()
		switch {
		case !ok:
			return BadTLV
		case kind == UniqueID && len(value) > maxUniqueID:
			return BadTLV
		case kind == checksum && (len(value) != 4 || checked):
			return BadTLV
		case kind == checksum:
			checked = true
			end := len(header) - len(r)
			if crc(header, end-4) != binary.BigEndian.Uint32(value) {
				return BadChecksum
			}
		}
	}
	return ""
}

// crc is the checksum of a header with zeros for the four bytes at an offset.
func crc(header []byte, at int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := ^crc32.Update(0, table, header[:at])
	for range 4 {
		// A zero by hand, because Update has what it is given allocated.
		sum = table[byte(sum)] ^ sum>>8
	}
	return crc32.Update(^sum, table, header[at+4:])
}
