package inspect

import "iter"

// Types of TLVs: section 2.2 of the PROXY protocol. 0xE0 to 0xEF belong to
// applications; clouds send there what network a client is in.
const (
	Authority   = 0x02 // the host name that the client asked for, the SNI if it spoke TLS
	UniqueID    = 0x05 // up to 128 bytes that name the connection
	checksum    = 0x03
	maxUniqueID = 128
)

// TLVs are the additions to a PROXY header in wire form: type, length in two
// bytes, value. They were checked to be complete. Values are the sender's, any
// bytes, and must be escaped where they are shown.
type TLVs []byte

// Get returns the value of the first with a type, or false.
func (t TLVs) Get(kind uint8) ([]byte, bool) {
	for k, value := range t.All() {
		if k == kind {
			return value, true
		}
	}
	return nil, false
}

// All yields each type and value, in the sender's order.
func (t TLVs) All() iter.Seq2[uint8, []byte] {
	return func(yield func(uint8, []byte) bool) {
		for r := reader(t); len(r) > 0; {
			kind, _ := r.u8()
			value, ok := r.prefixed16()
			if !ok || !yield(kind, value) {
				return
			}
		}
	}
}
