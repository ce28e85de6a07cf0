package inspect

import (
	"bytes"
	"strings"
)

// The application protocols that HTTP finds, named as in a filter chain's
// application_protocols.
const (
	HTTP10 = "http/1.0"
	HTTP11 = "http/1.1"
	H2C    = "h2c"
)

// http2Preface begins each HTTP/2 connection without TLS: RFC 9113, 3.4.
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// HTTP finds out which HTTP a stream speaks, from its request line or from the
// preface of HTTP/2; the name is "" unless it is Done. Whatever is in the line
// of HTTP/1 but 1.1, such as HTTP/0.9 or no version at all, is called
// http/1.0.
//
// It decides like Envoy's http_inspector with its parser http_parser: the
// method must be one of a list, so that a stream of another protocol is
// Foreign at its first bytes, and the target may hold visible ASCII only. A
// line without end within limit bytes is Malformed (TooLarge); Envoy's limit
// is 64 KiB, and it closes then.
func HTTP(prefix []byte, limit int) (string, Verdict) {
	prefix = within(prefix, limit)
	n := min(len(prefix), len(http2Preface))
	if string(prefix[:n]) == http2Preface[:n] {
		if n < len(http2Preface) {
			return "", more(n+1, limit)
		}
		return H2C, Verdict{State: Done, Bytes: n}
	}
	protocol, rest, state := requestLine(prefix)
	switch state {
	case Done:
		return protocol, Verdict{State: Done, Bytes: len(prefix) - len(rest)}
	case More:
		return "", more(len(prefix)+1, limit)
	default:
		return "", Verdict{State: state}
	}
}

// requestLine reads a line and returns what is behind it.
func requestLine(b []byte) (protocol string, rest []byte, state State) {
	name, rest, state := method(b)
	if state != Done {
		return "", nil, state
	}
	rest, state = target(rest, string(name) == "CONNECT")
	if state != Done {
		return "", nil, state
	}
	if rest[0] != ' ' {
		rest, state = lineEnd(rest)
		return HTTP10, rest, state
	}
	return version(rest)
}

// method reads a method; the rest begins with the space behind it.
func method(b []byte) (name, rest []byte, state State) {
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

// methods are those that http_parser 2.9 knows.
func methods() [34]string {
	return [...]string{
		"ACL", "BIND", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK",
		"M-SEARCH", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "OPTIONS",
		"PATCH", "POST", "PROPFIND", "PROPPATCH", "PURGE", "PUT", "REBIND", "REPORT", "SEARCH",
		"SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE",
	}
}

// target skips the request target; the rest begins with the space or the end
// of line behind it.
func target(b []byte, connect bool) ([]byte, State) {
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
	form := targetForm(text, connect)
	switch {
	case form == Foreign, end >= 0 && form == More:
		return nil, Foreign
	case end < 0:
		return nil, More
	}
	return b[end:], Done
}

// targetForm tells whether a target, which may be incomplete, is a path, an
// absolute URI, or behind CONNECT an authority; More means that it must not
// end yet.
func targetForm(text []byte, connect bool) State {
	switch {
	case len(text) == 0:
		return More
	case connect:
		return authority(text)
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
	return authority(rest[m:])
}

// authority checks user, host and port up to the path or query behind them.
func authority(text []byte) State {
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

// version reads the end of a line, from the space before "HTTP/".
func version(b []byte) (protocol string, rest []byte, state State) {
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
	rest, state = lineEnd(b[len(form):])
	return protocol, rest, state
}

// lineEnd takes "\r\n" or "\n".
func lineEnd(b []byte) ([]byte, State) {
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

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
