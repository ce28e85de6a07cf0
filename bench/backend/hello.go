package backend

import "encoding/binary"

// Kind is what a connection is for.
type Kind uint32

// The kinds of connections.
const (
	Echo   Kind = 1 + iota // each Size bytes are answered with the same
	Sink                   // bytes are read and forgotten
	Source                 // bytes come as fast as they are taken, or Rate a second
	Both                   // Sink and Source at once
)

// HelloSize is how long a Hello is, in bytes.
const HelloSize = 32

// Hello is what a client sends first.
type Hello struct {
	Kind Kind
	Size uint32 // of a request in bytes, for Echo
	Rate uint64 // bytes a second, for Source; 0 = as many as are taken
}

// magic begins a Hello: a client that wants another service is told apart.
func magic() string { return "sluice/1" }

// Append appends the HelloSize bytes of h to b: the magic, kind, size and rate in
// network order, and zeros.
func (h Hello) Append(b []byte) []byte {
	b = append(b, magic()...)
	b = binary.BigEndian.AppendUint32(b, uint32(h.Kind))
	b = binary.BigEndian.AppendUint32(b, h.Size)
	b = binary.BigEndian.AppendUint64(b, h.Rate)
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0)
}

// parse reads a Hello from HelloSize bytes; false when they are none.
func parse(b []byte) (Hello, bool) {
	h := Hello{
		Kind: Kind(binary.BigEndian.Uint32(b[8:])),
		Size: binary.BigEndian.Uint32(b[12:]),
		Rate: binary.BigEndian.Uint64(b[16:]),
	}
	known := h.Kind >= Echo && h.Kind <= Both
	return h, string(b[:8]) == magic() && known && (h.Kind != Echo || h.Size > 0)
}
