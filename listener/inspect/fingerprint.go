package inspect

import (
	"crypto/fips140"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// AppendJA3 appends the JA3 fingerprint, 32 hexadecimal digits:
// https://github.com/salesforce/ja3. It may be called after Parse said Done,
// while the bytes that Parse was given are valid. It allocates only for a
// ClientHello with very long lists.
//
// Envoy counts the GREASE values among the groups, so that each connection of
// a browser has another fingerprint; here, as JA3 says, none count.
func (h *Hello) AppendJA3(dst []byte) []byte {
	var space [1024]byte
	text := h.appendJA3Text(space[:0])
	sum := md5Sum(text)
	return hex.AppendEncode(dst, sum[:])
}

// md5Sum is the MD5 sum, also in FIPS 140-only mode: there crypto/md5 panics,
// and nothing rests on this sum that would have to be safe.
func md5Sum(text []byte) [md5.Size]byte {
	if !fips140.Enforced() {
		return md5.Sum(text)
	}
	var sum [md5.Size]byte
	kept := slices.Clone(text) // or every caller's text would be on the heap
	fips140.WithoutEnforcement(func() { sum = md5.Sum(kept) })
	return sum
}

// appendJA3Text appends what JA3 is the MD5 sum of: version, ciphers,
// extensions, groups and point formats, in decimal.
func (h *Hello) appendJA3Text(dst []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(h.legacyVersion), 10)
	dst = append(dst, ',')
	dst = appendDecimal(dst, h.ciphers)
	dst = append(dst, ',')
	separate := false
	for r := reader(h.extensions); len(r) > 0; {
		kind, _ := r.u16()
		r.prefixed16()
		dst, separate = appendNumber(dst, kind, separate)
	}
	dst = append(dst, ',')
	dst = appendDecimal(dst, list16(h.groups))
	dst = append(dst, ',')
	formats := reader(h.pointFormats)
	formats, _ = formats.prefixed8()
	for i, format := range formats {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = strconv.AppendUint(dst, uint64(format), 10)
	}
	return dst
}

// AppendJA4 appends the JA4 fingerprint, such as
// "t13d1516h2_8daaf6152771_e5627efa2ab1":
// https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md. The
// conditions of AppendJA3 hold.
func (h *Hello) AppendJA4(dst []byte) []byte {
	var space [2][128]uint16
	ciphers := numbers(space[0][:0], h.ciphers)
	extensions := space[1][:0]
	for r := reader(h.extensions); len(r) > 0; {
		kind, _ := r.u16()
		r.prefixed16()
		if !grease(kind) {
			extensions = append(extensions, kind)
		}
	}
	dst = append(dst, 't')
	dst = append(dst, ja4Version(h.Version)...)
	if h.named {
		dst = append(dst, 'd')
	} else {
		dst = append(dst, 'i')
	}
	dst = appendTwoDigits(dst, len(ciphers))
	dst = appendTwoDigits(dst, len(extensions))
	dst = h.appendJA4Protocol(dst)
	dst = append(dst, '_')

	var text [2048]byte
	slices.Sort(ciphers)
	dst = appendShortSum(dst, appendHex(text[:0], ciphers))
	dst = append(dst, '_')

	extensions = slices.DeleteFunc(extensions, func(kind uint16) bool {
		return kind == extServerName || kind == extALPN
	})
	slices.Sort(extensions)
	b := appendHex(text[:0], extensions)
	if signatures := numbers(ciphers[:0], list16(h.signatures)); len(b) > 0 && len(signatures) > 0 {
		b = appendHex(append(b, '_'), signatures)
	}
	return appendShortSum(dst, b)
}

// appendJA4Protocol appends the first and last letter of the first application
// protocol, or digits for what is neither letter nor digit.
func (h *Hello) appendJA4Protocol(dst []byte) []byte {
	for name := range h.Protocols.All() {
		first, last := name[0], name[len(name)-1]
		if alphanumeric(first) && alphanumeric(last) {
			return append(dst, first, last)
		}
		const digits = "0123456789abcdef"
		return append(dst, digits[first>>4], digits[last&15])
	}
	return append(dst, "00"...)
}

func ja4Version(version uint16) string {
	switch version {
	case 0x0304:
		return "13"
	case 0x0303:
		return "12"
	case 0x0302:
		return "11"
	case 0x0301:
		return "10"
	default:
		return "00"
	}
}

// list16 is the list behind a length of two bytes, empty when it breaks its
// syntax: a fingerprint is no reason to refuse a connection.
func list16(r reader) []byte {
	list, _ := r.prefixed16()
	return list
}

// numbers appends the values of a list of two bytes each, without GREASE.
func numbers(dst []uint16, r reader) []uint16 {
	for {
		n, ok := r.u16()
		if !ok {
			return dst
		}
		if !grease(n) {
			dst = append(dst, n)
		}
	}
}

func appendDecimal(dst []byte, r reader) []byte {
	separate := false
	for {
		n, ok := r.u16()
		if !ok {
			return dst
		}
		dst, separate = appendNumber(dst, n, separate)
	}
}

// appendNumber appends a value, with a dash before it where one came already;
// it tells whether one came.
func appendNumber(dst []byte, n uint16, separate bool) ([]byte, bool) {
	if grease(n) {
		return dst, separate
	}
	if separate {
		dst = append(dst, '-')
	}
	return strconv.AppendUint(dst, uint64(n), 10), true
}

func appendTwoDigits(dst []byte, n int) []byte {
	n = min(n, 99)
	return append(dst, '0'+byte(n/10), '0'+byte(n%10))
}

// appendHex appends values as four digits each, with commas between them.
func appendHex(dst []byte, list []uint16) []byte {
	for i, n := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = hex.AppendEncode(dst, []byte{byte(n >> 8), byte(n)})
	}
	return dst
}

// appendShortSum appends the beginning of the SHA-256 sum, or zeros for nothing.
func appendShortSum(dst, text []byte) []byte {
	if len(text) == 0 {
		return append(dst, "000000000000"...)
	}
	sum := sha256.Sum256(text)
	return hex.AppendEncode(dst, sum[:6])
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
