package inspect

import "slices"

// What can be wrong with a ClientHello.
const (
	BadRecord      Reason = "a TLS record that is empty, over 16 KiB, or of another type within the ClientHello"
	NoClientHello  Reason = "a first TLS message that is no ClientHello"
	BadHello       Reason = "ClientHello lengths that contradict each other"
	BadFields      Reason = "a ClientHello with a session id of more than 32 bytes, or without whole cipher suites"
	OldVersion     Reason = "a ClientHello of a version before TLS 1.0"
	BadCompression Reason = "a ClientHello without null compression"
	SameExtension  Reason = "a ClientHello with two extensions of one type"
	BadServerName  Reason = "a server_name extension that is not exactly one host name of 1 to 255 bytes without NUL"
	BadProtocols   Reason = "an ALPN extension that is no list of names, or of too many"
	BadVersions    Reason = "a supported_versions extension that is no list of versions"
)

const (
	recordHeader     = 5
	maxRecord        = 1 << 14 // RFC 8446, 5.1
	typeHandshake    = 22
	majorVersion     = 3
	messageHeader    = 4
	typeClientHello  = 1
	versionTLS10     = 0x0301
	maxSessionID     = 32
	compressionNone  = 0
	nameTypeHostName = 0
	maxServerName    = 255 // BoringSSL's TLSEXT_MAXLEN_host_name
)

// Hello is what a ClientHello says. One value serves any number of streams
// after each other; its slices point into the bytes that Parse was given, or
// for a ClientHello in several records into the Hello itself, and are valid
// until either is used again.
type Hello struct {
	// ServerName is the name of the server_name extension as it was sent, not
	// folded, perhaps no UTF-8 and with a dot at its end; nil when there is
	// none. With Encrypted Client Hello it is the outer, public name.
	ServerName []byte
	// Protocols are the application protocols that the client offers, in its
	// order.
	Protocols Protocols
	// Version is the highest that the client offers, as on the wire: 0x0304 is
	// TLS 1.3.
	Version uint16

	legacyVersion uint16
	ciphers       []byte
	extensions    []byte // without the length before them
	named         bool   // the server_name extension is there
	versions      []byte // the next four are bodies of extensions
	groups        []byte
	pointFormats  []byte
	signatures    []byte

	joined []byte // the message, when it lies in several records
}

// Parse reads the ClientHello at the beginning of a TLS stream, of which prefix
// is what came so far. It may lie in any number of records. What is not TLS is
// known after 5 bytes at most. limit is how many bytes of the stream may be
// looked at; a ClientHello that needs more is Malformed as soon as its length
// is known, not when the bytes are there.
//
// It accepts what BoringSSL, and with it Envoy's tls_inspector, accepts, with
// these differences: a server_name or ALPN extension that breaks its syntax is
// Malformed and not "no name" or "no protocols", and a version 2 ClientHello,
// which nothing has sent for twenty years, is Foreign. Bytes behind the
// ClientHello, such as early data, are not looked at.
func (h *Hello) Parse(prefix []byte, limit int) Verdict {
	return h.ParseOn(prefix, limit, new(Records))
}

// ParseOn is Parse for a stream that comes in pieces: it does not walk again
// over records that it has seen whole. seen is the stream's own, zero at first.
func (h *Hello) ParseOn(prefix []byte, limit int, seen *Records) Verdict {
	*h = Hello{joined: h.joined[:0]}
	prefix = within(prefix, limit)
	v := seen.span(prefix, limit)
	if v.State != Done {
		return v
	}
	size := seen.size()
	body := prefix[recordHeader:v.Bytes]
	if seen.bytes > 0 {
		body = h.join(prefix, size)
	}
	if reason := h.read(body[messageHeader:size]); reason != "" {
		return malformed(reason)
	}
	return v
}

// Records are those that hold the first message of a TLS stream, as far as they
// have been seen whole. Without it a stream of tiny records in single bytes
// would cost seconds.
type Records struct {
	bytes  int // of the stream
	have   int // bytes of the message
	header [messageHeader]byte
}

// size is how long the message is, with its header, which must be there.
func (s *Records) size() int {
	return messageHeader + int(s.header[1])<<16 + int(s.header[2])<<8 + int(s.header[3])
}

// span walks over the records. Of the message it looks at the header only, so
// that a call for a stream that is not complete costs little.
func (s *Records) span(prefix []byte, limit int) Verdict {
	for {
		n, v := record(prefix, s.bytes, limit)
		if v.State != Done {
			return v
		}
		start := s.bytes + recordHeader
		payload := prefix[start:min(start+n, len(prefix))]
		rest := messageHeader - s.have // until the header is there
		if s.have < messageHeader {
			seen := s.have + copy(s.header[s.have:], payload)
			if seen > 0 && s.header[0] != typeClientHello {
				return malformed(NoClientHello)
			}
			if seen < messageHeader && len(payload) < n {
				return more(len(prefix)+1, limit)
			}
			if seen == messageHeader && start+s.size()-s.have > limit {
				return malformed(TooLarge)
			}
		}
		if s.have+n >= messageHeader {
			if rest = s.size() - s.have; len(payload) >= rest {
				return Verdict{State: Done, Bytes: start + rest}
			}
		}
		if len(payload) < n {
			return more(start+min(n, rest), limit)
		}
		s.have += n
		s.bytes = start + n
	}
}

// record reads the header of the record at an offset: the length of what
// follows, or why there is none. Only the first decides between TLS and
// something else.
func record(prefix []byte, at, limit int) (int, Verdict) {
	header := prefix[at:min(at+recordHeader, len(prefix))]
	if len(header) > 0 && header[0] != typeHandshake || len(header) > 1 && header[1] != majorVersion {
		if at == 0 {
			return 0, Verdict{State: Foreign}
		}
		return 0, malformed(BadRecord)
	}
	if len(header) < recordHeader {
		return 0, more(at+len(header)+1, limit)
	}
	// RFC 8446, 5.1: no empty fragments of handshake messages.
	n := int(header[3])<<8 | int(header[4])
	if n == 0 || n > maxRecord {
		return 0, malformed(BadRecord)
	}
	return n, Verdict{State: Done}
}

// join copies a message of size bytes out of its records.
func (h *Hello) join(prefix []byte, size int) []byte {
	h.joined = slices.Grow(h.joined, size)
	for at := 0; len(h.joined) < size; {
		n := int(prefix[at+3])<<8 | int(prefix[at+4])
		at += recordHeader
		n = min(n, size-len(h.joined))
		h.joined = append(h.joined, prefix[at:at+n]...)
		at += n
	}
	return h.joined
}

// read takes the ClientHello apart: RFC 8446, 4.1.2.
func (h *Hello) read(r reader) Reason {
	version, ok := r.u16()
	_, random := r.take(32)
	session, hasSession := r.prefixed8()
	ciphers, hasCiphers := r.prefixed16()
	compressions, hasCompressions := r.prefixed8()
	if !ok || !random || !hasSession || !hasCiphers || !hasCompressions {
		return BadHello
	}
	if len(session) > maxSessionID || len(ciphers) == 0 || len(ciphers)%2 != 0 {
		return BadFields
	}
	if version < versionTLS10 {
		return OldVersion
	}
	if !slices.Contains(compressions, compressionNone) {
		return BadCompression
	}
	h.legacyVersion, h.Version, h.ciphers = version, version, ciphers
	if len(r) == 0 {
		return "" // extensions came with TLS 1.2
	}
	extensions, ok := r.prefixed16()
	if !ok || len(r) != 0 {
		return BadHello
	}
	h.extensions = extensions
	return h.readExtensions(extensions)
}
