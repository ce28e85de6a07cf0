package load

import (
	"encoding/binary"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/backend"
)

// numberSize is how long the sequence number is that an own request carries at
// its beginning and its end.
const numberSize = 8

// message is the request and what its response must be like. The bytes are one
// generator's; the sequence number is put in for each request anew.
type message struct {
	bytes []byte // with the hello
	hello int    // bytes of it
	size  int    // of the response
	head  []byte // how the response begins
	tail  []byte // how it ends
}

// newMessage makes the request of l. An own request shorter than its sequence
// number has none, and one shorter than two has it at its beginning only.
func newMessage(l *bench.Load, r response) message {
	switch l.Protocol {
	case bench.HTTP:
		return message{bytes: []byte(httpRequest()), size: r.size, head: r.head}
	case bench.Redis:
		const pong = "+PONG\r\n"
		return message{bytes: []byte("PING\r\n"), size: len(pong), head: []byte(pong)}
	}
	size := l.Size
	if l.Kind == bench.Streams {
		size = 2 * numberSize // of what connections beside are opened with
	}
	hello := backend.Hello{Kind: backend.Echo, Size: uint32(size)}.Append(nil)
	m := message{bytes: append(hello, make([]byte, size)...), hello: len(hello), size: size}
	if size >= numberSize {
		m.head = make([]byte, numberSize)
	}
	if size >= 2*numberSize {
		m.tail = make([]byte, numberSize)
	}
	return m
}

func (m *message) requestSize() int { return len(m.bytes) - m.hello }

// request is x's request, until another is asked for.
func (m *message) request(x *exchange) []byte {
	if m.hello > 0 && m.head != nil {
		binary.LittleEndian.PutUint64(m.bytes[m.hello:], x.sequence)
		if m.tail != nil {
			binary.LittleEndian.PutUint64(m.bytes[len(m.bytes)-numberSize:], x.sequence)
		}
	}
	if x.first {
		return m.bytes
	}
	return m.bytes[m.hello:]
}

// matches says whether piece, the next of x's response, is as it must be where
// that is known.
func (m *message) matches(piece []byte, x *exchange) bool {
	if m.hello > 0 && m.head != nil {
		binary.LittleEndian.PutUint64(m.head, x.sequence)
		if m.tail != nil {
			binary.LittleEndian.PutUint64(m.tail, x.sequence)
		}
	}
	return agree(piece, x.got, m.head, 0) && agree(piece, x.got, m.tail, m.size-len(m.tail))
}

// agree compares what overlaps of piece, which begins at offset, and want, which
// begins at at.
func agree(piece []byte, offset int, want []byte, at int) bool {
	from, to := max(offset, at), min(offset+len(piece), at+len(want))
	return from >= to || string(piece[from-offset:to-offset]) == string(want[from-at:to-at])
}
