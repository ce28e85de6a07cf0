package listener

import "github.com/sluiceproxy/sluice/listener/inspect"

// Details are what an inspection learns for access logs alone: no filter chain
// is chosen by them.
type Details struct {
	JA3, JA4 string // of the ClientHello; "" where there was none, or nobody wants them

	// TLVs of the PROXY header, "" where it had none: the sender's text, not
	// escaped, and bytes of any kind.
	Authority, UniqueID string
}

// maxAuthority is how much is kept of the host name in a PROXY header, which may
// have 64 KiB: the 255 bytes that logs show, and one by which they see whether
// there was more.
const maxAuthority = 256

// details are there from the first time that there is something to keep: most
// connections have nothing.
func (i *Inspection) details() *Details {
	if i.Details == nil {
		i.Details = new(Details)
	}
	return i.Details
}

// keepTLVs copies the TLVs that are logged; the header's bytes are gone when the
// line is written.
func (i *Inspection) keepTLVs(tlvs inspect.TLVs) {
	if name, ok := tlvs.Get(inspect.Authority); ok && len(name) > 0 {
		i.details().Authority = string(name[:min(len(name), maxAuthority)])
	}
	if id, ok := tlvs.Get(inspect.UniqueID); ok && len(id) > 0 {
		i.details().UniqueID = string(id)
	}
}

// fingerprint makes the fingerprints that the listener wants of a ClientHello
// that was just parsed.
func (i *Inspection) fingerprint(hello *inspect.Hello) {
	var space [64]byte
	if i.listener.filters.ja3 {
		i.details().JA3 = string(hello.AppendJA3(space[:0]))
	}
	if i.listener.filters.ja4 {
		i.details().JA4 = string(hello.AppendJA4(space[:0]))
	}
}
