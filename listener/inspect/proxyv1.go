package inspect

import (
	"bytes"
	"net/netip"
)

// maxLineV1 is the longest line of v1, CRLF included: section 2.1.
const maxLineV1 = 107

// parseV1 reads the line of v1.
func (p *ProxyHeader) parseV1(prefix []byte, limit int) Verdict {
	line := prefix[:min(len(prefix), maxLineV1)]
	end := bytes.IndexAny(line, "\r\n")
	switch {
	case end < 0 || end == len(line)-1 && line[end] == '\r':
		if len(line) == maxLineV1 {
			return malformed(LongLine)
		}
		return more(len(line)+1, limit)
	case line[end] == '\n' || line[end+1] != '\n':
		return malformed(BadLine)
	}
	if reason := p.fields(line[len(proxySignature1):end]); reason != "" {
		return malformed(reason)
	}
	return Verdict{State: Done, Bytes: end + 2}
}

// fields reads what stands between "PROXY" and the end of the line.
func (p *ProxyHeader) fields(text []byte) Reason {
	family, text, ok := field(text)
	if !ok {
		return BadLine
	}
	switch string(family) {
	case "UNKNOWN":
		p.Local = true // and whatever follows is to be ignored
		return ""
	case "TCP4", "TCP6":
	default:
		return BadLine
	}
	var parts [4][]byte
	for i := range parts {
		if parts[i], text, ok = field(text); !ok {
			return BadLine
		}
	}
	if len(text) != 0 {
		return BadLine
	}
	address := address6
	if string(family) == "TCP4" {
		address = address4
	}
	source, destination := address(parts[0]).Unmap(), address(parts[1]).Unmap()
	if !endpoint(source) || !endpoint(destination) {
		return BadAddress
	}
	sourcePort, ok := port(parts[2])
	destinationPort, ok2 := port(parts[3])
	if !ok || !ok2 {
		return BadPort
	}
	p.Source = netip.AddrPortFrom(source, sourcePort)
	p.Destination = netip.AddrPortFrom(destination, destinationPort)
	return ""
}

// field takes exactly one space and what follows up to the next.
func field(text []byte) (value, rest []byte, ok bool) {
	if len(text) == 0 || text[0] != ' ' {
		return nil, nil, false
	}
	text = text[1:]
	end := bytes.IndexByte(text, ' ')
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:], end > 0
}

// port reads a decimal number without leading zeros.
func port(text []byte) (uint16, bool) {
	n, ok := decimal(text, 5)
	return uint16(n), ok && n <= 65535
}

// decimal reads a number of at most the given digits, without leading zeros.
func decimal(text []byte, digits int) (int, bool) {
	if len(text) == 0 || len(text) > digits || len(text) > 1 && text[0] == '0' {
		return 0, false
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
