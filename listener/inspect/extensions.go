package inspect

import (
	"bytes"
	"iter"
)

// Types of extensions that are looked at:
// https://www.iana.org/assignments/tls-extensiontype-values
const (
	extServerName   = 0
	extGroups       = 10
	extPointFormats = 11
	extSignatures   = 13
	extALPN         = 16
	extVersions     = 43
)

// MaxProtocols is how many application protocols a ClientHello may offer. With
// more it is Malformed: each of them costs a look-up in the filter chains, and
// real clients offer two or three.
const MaxProtocols = 64

// Protocols is a list of application protocols in wire form, each behind its
// length in one byte, checked to be complete.
type Protocols []byte

// All yields each name; it is never empty, and may be any bytes.
func (p Protocols) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for r := reader(p); len(r) > 0; {
			name, ok := r.prefixed8()
			if !ok || !yield(name) {
				return
			}
		}
	}
}

// readExtensions checks all extensions and reads those that the decision needs.
func (h *Hello) readExtensions(r reader) Reason {
	var seen typeSet
	for len(r) > 0 {
		kind, ok := r.u16()
		body, complete := r.prefixed16()
		if !ok || !complete {
			return BadHello
		}
		if !seen.add(kind) {
			return SameExtension
		}
		var reason Reason
		switch kind {
		case extServerName:
			h.named = true
			h.ServerName, reason = serverName(body)
		case extALPN:
			h.Protocols, reason = protocols(body)
		case extVersions:
			h.versions = body
			h.Version, reason = highest(body, h.legacyVersion)
		case extGroups:
			h.groups = body
		case extPointFormats:
			h.pointFormats = body
		case extSignatures:
			h.signatures = body
		}
		if reason != "" {
			return reason
		}
	}
	if seen.overflow && duplicates(h.extensions) {
		return SameExtension
	}
	return ""
}

// serverName reads the body of a server_name extension. RFC 6066, 3 allows for
// names of other types; nobody ever defined one, BoringSSL refuses all but a
// single host name, and two readings of one list are how policies are evaded.
func serverName(r reader) ([]byte, Reason) {
	list, ok := r.prefixed16()
	kind, hasKind := list.u8()
	name, hasName := list.prefixed16()
	if !ok || !hasKind || !hasName || len(list) != 0 || len(r) != 0 {
		return nil, BadServerName
	}
	if kind != nameTypeHostName || len(name) == 0 || len(name) > maxServerName || bytes.IndexByte(name, 0) >= 0 {
		return nil, BadServerName
	}
	return name, ""
}

// protocols reads the body of an ALPN extension: RFC 7301, 3.1.
func protocols(r reader) (Protocols, Reason) {
	list, ok := r.prefixed16()
	if !ok || len(r) != 0 || len(list) == 0 {
		return nil, BadProtocols
	}
	all := Protocols(list)
	for n := 0; len(list) > 0; n++ {
		name, ok := list.prefixed8()
		if !ok || len(name) == 0 || n == MaxProtocols {
			return nil, BadProtocols
		}
	}
	return all, ""
}

// highest reads the body of a supported_versions extension, and returns the
// highest that is not there to keep servers tolerant; legacy, if all are.
func highest(r reader, legacy uint16) (uint16, Reason) {
	list, ok := r.prefixed8()
	if !ok || len(r) != 0 || len(list) == 0 || len(list)%2 != 0 {
		return 0, BadVersions
	}
	var top uint16
	for len(list) > 0 {
		version, _ := list.u16()
		if version > top && !grease(version) {
			top = version
		}
	}
	if top == 0 {
		top = legacy
	}
	return top, ""
}

// typeSet tells whether a type came before, for as many types as clients send:
// some twenty.
type typeSet struct {
	low      uint64 // those below 64
	others   [16]uint16
	n        int
	overflow bool // more than that; then duplicates must answer
}

// add is false for a type that came before.
func (s *typeSet) add(kind uint16) bool {
	if kind < 64 {
		bit := uint64(1) << kind
		had := s.low&bit != 0
		s.low |= bit
		return !had
	}
	for _, other := range s.others[:s.n] {
		if other == kind {
			return false
		}
	}
	if s.n == len(s.others) {
		s.overflow = true
		return true
	}
	s.others[s.n] = kind
	s.n++
	return true
}

// duplicates tells whether two extensions have one type, in time proportional
// to their number, which may be thousands.
func duplicates(r reader) bool {
	var seen [1 << 16 / 64]uint64
	for len(r) > 0 {
		kind, _ := r.u16()
		r.prefixed16()
		word, bit := kind/64, uint64(1)<<(kind%64)
		if seen[word]&bit != 0 {
			return true
		}
		seen[word] |= bit
	}
	return false
}

// grease tells the values that clients send to keep servers tolerant: RFC 8701.
func grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }
