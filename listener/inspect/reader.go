package inspect

// reader takes bytes from the front of a slice, in the manner of
// golang.org/x/crypto/cryptobyte: each method tells whether there were enough,
// and takes nothing when there were not.
type reader []byte

func (r *reader) take(n int) ([]byte, bool) {
	if n > len(*r) {
		return nil, false
	}
	taken := (*r)[:n:n]
	*r = (*r)[n:]
	return taken, true
}

func (r *reader) u8() (uint8, bool) {
	b, ok := r.take(1)
	if !ok {
		return 0, false
	}
	return b[0], true
}

func (r *reader) u16() (uint16, bool) {
	b, ok := r.take(2)
	if !ok {
		return 0, false
	}
	return uint16(b[0])<<8 | uint16(b[1]), true
}

// prefixed8 takes a length of one byte and as many bytes as that says.
func (r *reader) prefixed8() (reader, bool) {
	rest := *r
	n, ok := rest.u8()
	if !ok {
		return nil, false
	}
	taken, ok := rest.take(int(n))
	if ok {
		*r = rest
	}
	return taken, ok
}

// prefixed16 takes a length of two bytes and as many bytes as that says.
func (r *reader) prefixed16() (reader, bool) {
	rest := *r
	n, ok := rest.u16()
	if !ok {
		return nil, false
	}
	taken, ok := rest.take(int(n))
	if ok {
		*r = rest
	}
	return taken, ok
}
