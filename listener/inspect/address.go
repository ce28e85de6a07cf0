package inspect

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// address4 reads a dotted IPv4 address; the zero Addr is none. netip's own
// parser takes strings, which would have to be allocated.
func address4(text []byte) netip.Addr {
	var bits [4]byte
	for i := range bits {
		part := text
		if i < len(bits)-1 {
			dot := bytes.IndexByte(text, '.')
			if dot < 0 {
				return netip.Addr{}
			}
			part, text = text[:dot], text[dot+1:]
		}
		n, ok := decimal(part, 3)
		if !ok || n > 255 {
			return netip.Addr{}
		}
		bits[i] = byte(n)
	}
	return netip.AddrFrom4(bits)
}

// address6 reads an IPv6 address, which may end in a dotted IPv4 address as
// inet_ntop(3) writes it, and has no zone; the zero Addr is none.
func address6(text []byte) netip.Addr {
	var bits [16]byte
	at, gap := 0, -1 // where the next group goes, and where :: was
	if bytes.HasPrefix(text, []byte("::")) {
		gap, text = 0, text[2:]
	}
	for len(text) > 0 {
		if at == len(bits) {
			return netip.Addr{}
		}
		n, digits := hexadecimal(text)
		if digits < len(text) && text[digits] == '.' {
			last := address4(text)
			if !last.IsValid() || at > len(bits)-4 {
				return netip.Addr{}
			}
			v4 := last.As4()
			at += copy(bits[at:], v4[:])
			break
		}
		if digits == 0 {
			return netip.Addr{}
		}
		binary.BigEndian.PutUint16(bits[at:], n)
		at += 2
		if text = text[digits:]; len(text) == 0 {
			break
		}
		if text[0] != ':' || len(text) == 1 {
			return netip.Addr{}
		}
		if text = text[1:]; text[0] == ':' {
			if gap >= 0 {
				return netip.Addr{}
			}
			gap, text = at, text[1:]
		}
	}
	if (gap < 0) != (at == len(bits)) {
		return netip.Addr{} // too few groups, or :: for none
	}
	if gap >= 0 {
		tail := bits[gap:at]
		copy(bits[len(bits)-len(tail):], tail)
		clear(bits[gap : len(bits)-len(tail)])
	}
	return netip.AddrFrom16(bits)
}

// hexadecimal reads up to four digits and tells how many there were.
func hexadecimal(text []byte) (n uint16, digits int) {
	for digits < len(text) && digits < 4 {
		c := text[digits]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return n, digits
		}
		n = n<<4 | uint16(c)
		digits++
	}
	return n, digits
}
