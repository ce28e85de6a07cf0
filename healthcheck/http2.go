package healthcheck

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2/hpack"
)

// Frames of HTTP/2 (RFC 9113, section 6).
const (
	frameHeader = 9
	maxFrame    = 16 << 10 // what a peer may send when SETTINGS say nothing

	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePush         = 0x5
	framePing         = 0x6
	frameGoAway       = 0x7
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20

	refusedStream = 0x7 // error code
)

func appendFrame(out []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	out = append(out, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	out = binary.BigEndian.AppendUint32(out, stream)
	return append(out, payload...)
}

// appendPreface begins a connection. Nothing is to be pushed, and headers are to
// be sent without a table, which idle connections would have to keep.
func appendPreface(out []byte) []byte {
	const headerTableSize, enablePush, maxHeaderList = 0x1, 0x2, 0x6
	out = append(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"...)
	var settings []byte
	for _, s := range [][2]uint32{{headerTableSize, 0}, {enablePush, 0}, {maxHeaderList, maxHead}} {
		settings = binary.BigEndian.AppendUint16(settings, uint16(s[0]))
		settings = binary.BigEndian.AppendUint32(settings, s[1])
	}
	return appendFrame(out, frameSettings, 0, 0, settings)
}

// requestHeaders are encoded so that neither side remembers them.
func requestHeaders(authority string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/grpc.health.v1.Health/Check"}, {":authority", authority},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "sluice/HC"},
	} {
		// A bytes.Buffer takes everything.
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
	}
	return block.Bytes()
}

// frame is one frame that has come whole.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func (e *grpcExchange) take(data []byte) (used int, r result) {
	var reply []byte
	for !r.done && len(data)-used >= frameHeader {
		rest := data[used:]
		n := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
		if n > maxFrame {
			return used, failed(Network, "the answer is not HTTP/2, or has a frame that is too long")
		}
		if len(rest) < frameHeader+n {
			break
		}
		used += frameHeader + n
		r = e.frame(frame{rest[3], rest[4], binary.BigEndian.Uint32(rest[5:]) &^ (1 << 31), rest[frameHeader : frameHeader+n]})
		reply = append(reply, r.reply...)
	}
	r.reply = reply
	return used, r
}

func (e *grpcExchange) frame(f frame) result {
	if (e.open != 0) != (f.kind == frameContinuation) || e.open != 0 && e.open != f.stream {
		return failed(Network, "a header block is cut short")
	}
	switch f.kind {
	case frameData:
		return e.data(f)
	case frameHeaders:
		e.open, e.ends, e.block = f.stream, f.flags&flagEndStream != 0, e.block[:0]
		return e.headers(f)
	case frameContinuation:
		return e.headers(f)
	case frameReset:
		return e.reset(f)
	case framePush:
		return failed(Network, "a PUSH_PROMISE came, which is forbidden")
	}
	if e.control++; e.control > maxControl {
		return failed(Network, fmt.Sprintf("more than %d frames came that belong to no answer", maxControl))
	}
	switch f.kind {
	case frameGoAway:
		return e.goAway(f)
	case frameSettings, framePing:
		return acknowledge(f)
	}
	return result{}
}

func acknowledge(f frame) result {
	switch {
	case f.flags&flagAck != 0:
		return result{}
	case f.kind == frameSettings:
		return result{reply: appendFrame(nil, frameSettings, flagAck, 0, nil)}
	}
	return result{reply: appendFrame(nil, framePing, flagAck, 0, f.payload)}
}

// body is a payload without padding and, of HEADERS, priority.
func (f *frame) body() (body []byte, ok bool) {
	body = f.payload
	padding := 0
	if f.flags&flagPadded != 0 && f.kind != frameContinuation {
		if len(body) == 0 {
			return nil, false
		}
		padding, body = int(body[0]), body[1:]
	}
	const priority = 5
	if f.flags&flagPriority != 0 && f.kind == frameHeaders {
		if len(body) < priority {
			return nil, false
		}
		body = body[priority:]
	}
	if padding > len(body) {
		return nil, false
	}
	return body[:len(body)-padding], true
}

func (e *grpcExchange) data(f frame) result {
	e.flow[1] += len(f.payload)
	body, ok := f.body()
	if !ok || e.flow[1] > 2*maxFlow {
		return failed(Network, "a DATA frame is not valid")
	}
	if f.stream != e.stream || e.over {
		return result{}
	}
	if len(e.answer.message)+len(body) > maxMessage {
		return failed(Network, fmt.Sprintf("the message is longer than %d bytes", maxMessage))
	}
	e.answer.message = append(e.answer.message, body...)
	if f.flags&flagEndStream != 0 {
		return e.judge()
	}
	return result{}
}

func (e *grpcExchange) headers(f frame) result {
	body, ok := f.body()
	if !ok || len(e.block)+len(body) > maxHead {
		return failed(Network, "the headers are not valid, or too long")
	}
	e.block = append(e.block, body...)
	if e.control++; e.control > maxControl {
		return failed(Network, "the headers come in too many pieces")
	}
	if f.flags&flagEndHeaders == 0 {
		return result{}
	}
	_, err := e.decoder.Write(e.block)
	if err == nil {
		err = e.decoder.Close()
	}
	e.open, e.block = 0, nil
	if err != nil {
		return failed(Network, "the headers are not valid HPACK: "+quote(err.Error()))
	}
	if f.stream == e.stream && !e.over && e.ends {
		return e.judge()
	}
	return result{}
}

func (e *grpcExchange) reset(f frame) result {
	if f.stream != e.stream || e.over || len(f.payload) < 4 {
		return result{}
	}
	code := binary.BigEndian.Uint32(f.payload)
	r := failed(Network, fmt.Sprintf("the stream was reset with code %d", code))
	r.again = code == refusedStream
	return r
}

// goAway tells which streams will still be answered (RFC 9113, section 6.8).
func (e *grpcExchange) goAway(f frame) result {
	e.goaway = true
	if len(f.payload) < 8 {
		return failed(Network, "a GOAWAY frame is not valid")
	}
	last := binary.BigEndian.Uint32(f.payload) &^ (1 << 31)
	if e.over || e.stream > last {
		r := failed(Network, "the endpoint said GOAWAY")
		r.again = true
		return r
	}
	return result{}
}
