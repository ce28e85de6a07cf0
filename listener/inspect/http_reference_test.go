package inspect

import (
	"bytes"
	"strings"
)

// The reference reads a request line from its beginning each time. It is what
// RequestLine must agree with, however a stream comes.

// referenceLine reads a line and returns what is behind it.
func referenceLine(b []byte) (protocol string, rest []byte, state State) {
	name, rest, state := referenceMethod(b)
	if state != Done {
		return "", nil, state
	}
	rest, state = referenceTarget(rest, string(name) == "CONNECT")
	if state != Done {
		return "", nil, state
	}
	if rest[0] != ' ' {
		rest, state = referenceEnd(rest)
		return HTTP10, rest, state
	}
	return referenceVersion(rest)
}

// referenceMethod reads a method; the rest begins with the space behind it.
func referenceMethod(b []byte) (name, rest []byte, state State) {
	end := bytes.IndexByte(b, ' ')
	if end >= 0 {
		name = b[:end]
	}
	state = Foreign
	for _, m := range methods() {
		if end >= 0 && string(name) == m {
			return name, b[end:], Done
		}
		if end < 0 && len(b) <= len(m) && m[:len(b)] == string(b) {
			state = More
		}
	}
	return nil, nil, state
}

// referenceTarget skips the request target; the rest begins with the space or the end
// of line behind it.
func referenceTarget(b []byte, connect bool) ([]byte, State) {
	b = bytes.TrimLeft(b, " ")
	end := bytes.IndexAny(b, " \r\n")
	text := b
	if end >= 0 {
		text = b[:end]
	}
	for _, c := range text {
		if c <= ' ' || c >= 0x7f {
			return nil, Foreign
		}
	}
	form := referenceForm(text, connect)
	switch {
	case form == Foreign, end >= 0 && form == More:
		return nil, Foreign
	case end < 0:
		return nil, More
	}
	return b[end:], Done
}

// referenceForm tells whether a target, which may be incomplete, is a path, an
// absolute URI, or behind CONNECT an authority; More means that it must not
// end yet.
func referenceForm(text []byte, connect bool) State {
	switch {
	case len(text) == 0:
		return More
	case connect:
		return referenceAuthority(text)
	case text[0] == '/' || text[0] == '*':
		return Done
	}
	n := 0
	for n < len(text) && letter(text[n]) {
		n++
	}
	const mark = "://"
	if n == 0 {
		return Foreign
	}
	rest := text[n:]
	m := min(len(rest), len(mark))
	if string(rest[:m]) != mark[:m] {
		return Foreign
	}
	if m < len(mark) {
		return More
	}
	return referenceAuthority(rest[m:])
}

// referenceAuthority checks user, host and port up to the path or query behind them.
func referenceAuthority(text []byte) State {
	if len(text) == 0 {
		return More
	}
	for i, c := range text {
		switch {
		case c == '/' || c == '?':
			return Done
		case c == '@':
			if i > 0 && text[i-1] == '@' {
				return Foreign
			}
		case alphanumeric(c), strings.IndexByte("-_.!~*'()%;:&=+$,[]", c) >= 0:
		default:
			return Foreign
		}
	}
	return Done
}

// referenceVersion reads the end of a line, from the space before "HTTP/".
func referenceVersion(b []byte) (protocol string, rest []byte, state State) {
	b = bytes.TrimLeft(b, " ")
	const form = "HTTP/d.d"
	for i := range min(len(b), len(form)) {
		if form[i] == 'd' && (b[i] < '0' || b[i] > '9') || form[i] != 'd' && form[i] != b[i] {
			return "", nil, Foreign
		}
	}
	if len(b) < len(form) {
		return "", nil, More
	}
	protocol = HTTP10
	if b[5] == '1' && b[7] == '1' {
		protocol = HTTP11
	}
	rest, state = referenceEnd(b[len(form):])
	return protocol, rest, state
}

// referenceEnd takes "\r\n" or "\n".
func referenceEnd(b []byte) ([]byte, State) {
	if len(b) > 0 && b[0] == '\r' {
		b = b[1:]
	}
	if len(b) == 0 {
		return nil, More
	}
	if b[0] != '\n' {
		return nil, Foreign
	}
	return b[1:], Done
}

// referenceHTTP is what HTTP must answer.
func referenceHTTP(prefix []byte, limit int) (string, Verdict) {
	prefix = within(prefix, limit)
	n := min(len(prefix), len(http2Preface))
	if string(prefix[:n]) == http2Preface[:n] {
		if n < len(http2Preface) {
			return "", more(n+1, limit)
		}
		return H2C, Verdict{State: Done, Bytes: n}
	}
	protocol, rest, state := referenceLine(prefix)
	switch state {
	case Done:
		return protocol, Verdict{State: Done, Bytes: len(prefix) - len(rest)}
	case More:
		return "", more(len(prefix)+1, limit)
	default:
		return "", Verdict{State: state}
	}
}
