package inspect

import (
	"bytes"
	"strings"
)

// RequestLine reads the request line of HTTP/1, or the preface of HTTP/2, from
// a stream that comes in pieces. It goes on where the last call ended: a line of
// 64 KiB in single bytes would else be read 65,536 times, which takes seconds.
// One value is for one stream; the zero value is for its beginning.
type RequestLine struct {
	at       int // bytes read
	step     lineStep
	version  uint8 // bytes of "HTTP/d.d" read
	connect  bool
	protocol string
}

// lineStep is where in a request line the next byte stands.
type lineStep uint8

const (
	inMethod      lineStep = iota
	beforeTarget           // spaces
	inScheme               // letters
	atFirstSlash           // of ://
	atSecondSlash          //
	atAuthority            // its first byte
	inAuthority            //
	inPath                 // or query: visible ASCII
	beforeVersion          // spaces
	inVersion              //
	afterVersion           //
	atNewline              // behind CR
	lineDone
	notHTTP
)

// Parse reads on in the stream, of which prefix is what came so far from its
// beginning. The answer is the same as HTTP's.
func (r *RequestLine) Parse(prefix []byte, limit int) (string, Verdict) {
	prefix = within(prefix, limit)
	if n := min(len(prefix), len(http2Preface)); r.step == inMethod && string(prefix[:n]) == http2Preface[:n] {
		if n < len(http2Preface) {
			return "", more(n+1, limit)
		}
		return H2C, Verdict{State: Done, Bytes: n}
	}
	if r.step == inMethod {
		r.readMethod(prefix)
	}
	for r.step != inMethod && r.step < lineDone && r.at < len(prefix) {
		r.step = r.next(prefix[r.at], prefix[r.at-1])
		r.at++
	}
	switch r.step {
	case lineDone:
		return r.protocol, Verdict{State: Done, Bytes: r.at}
	case notHTTP:
		return "", Verdict{State: Foreign}
	default:
		return "", more(len(prefix)+1, limit)
	}
}

// longestMethod is the length of UNSUBSCRIBE.
const longestMethod = 11

// readMethod reads the method when it is there with the space behind it.
func (r *RequestLine) readMethod(b []byte) {
	b = b[:min(len(b), longestMethod+1)]
	end := bytes.IndexByte(b, ' ')
	known, may := false, false
	for _, m := range methods() {
		known = known || end >= 0 && string(b[:end]) == m
		may = may || end < 0 && strings.HasPrefix(m, string(b))
	}
	switch {
	case known:
		r.connect = end == len("CONNECT") && b[0] == 'C' && b[1] == 'O' && b[2] == 'N'
		r.at, r.step = end+1, beforeTarget
	case !may:
		r.step = notHTTP
	}
}

// next is the step after the byte c, before which stands last.
func (r *RequestLine) next(c, last byte) lineStep {
	switch r.step {
	case beforeTarget:
		return r.beginTarget(c)
	case inScheme:
		switch {
		case letter(c):
			return inScheme
		case c == ':':
			return atFirstSlash
		}
	case atFirstSlash, atSecondSlash:
		if c == '/' {
			return r.step + 1
		}
	case atAuthority:
		return authority(c, 0)
	case inAuthority:
		if c == ' ' || c == '\r' || c == '\n' {
			return r.endTarget(c)
		}
		return authority(c, last)
	case inPath:
		switch {
		case c == ' ' || c == '\r' || c == '\n':
			return r.endTarget(c)
		case c > ' ' && c < 0x7f:
			return inPath
		}
	case beforeVersion:
		if c == ' ' {
			return beforeVersion
		}
		return r.readVersion(c)
	case inVersion:
		return r.readVersion(c)
	case afterVersion, atNewline:
		switch {
		case c == '\n':
			return lineDone
		case c == '\r' && r.step == afterVersion:
			return atNewline
		}
	}
	return notHTTP
}

// beginTarget tells by its first byte whether a target is a path, an absolute
// URI, or behind CONNECT an authority.
func (r *RequestLine) beginTarget(c byte) lineStep {
	switch {
	case c == ' ':
		return beforeTarget
	case r.connect:
		return authority(c, 0)
	case c == '/' || c == '*':
		return inPath
	case letter(c):
		return inScheme
	}
	return notHTTP
}

// authority is the step after a byte of user, host or port; last is 0 for its
// first byte.
func authority(c, last byte) lineStep {
	switch {
	case c == '/' || c == '?':
		return inPath
	case c == '@' && last != '@', alphanumeric(c), strings.IndexByte("-_.!~*'()%;:&=+$,[]", c) >= 0:
		return inAuthority
	}
	return notHTTP
}

// endTarget is the step after the space or the end of line behind a target. A
// line without a version is called http/1.0.
func (r *RequestLine) endTarget(c byte) lineStep {
	r.protocol = HTTP10
	switch c {
	case ' ':
		return beforeVersion
	case '\r':
		return atNewline
	}
	return lineDone
}

// readVersion reads a byte of the version.
func (r *RequestLine) readVersion(c byte) lineStep {
	const form = "HTTP/d.d"
	want := form[r.version]
	if want == 'd' && (c < '0' || c > '9') || want != 'd' && want != c {
		return notHTTP
	}
	switch r.version++; {
	case int(r.version) < len(form):
		// The minor version's digit counts only behind a major version of 1.
		if r.version == 6 && c == '1' {
			r.protocol = HTTP11
		}
		return inVersion
	case c != '1':
		r.protocol = HTTP10
	}
	return afterVersion
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
