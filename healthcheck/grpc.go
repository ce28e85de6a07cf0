package healthcheck

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	maxMessage = 4 << 10 // bytes of a gRPC message with its prefix; the answer has 7

	// maxFlow is how many bytes of messages go over one connection in each
	// direction. It is below the 65535 that flow control allows from the start
	// (RFC 9113, section 6.9.2), so that nobody has to count further.
	maxFlow = 32 << 10

	// maxControl bounds frames that answer nothing: each costs work.
	maxControl = 256

	// serving is grpc.health.v1.HealthCheckResponse.SERVING.
	serving = 1
)

// grpcExchange asks grpc.health.v1.Health/Check over HTTP/2 without TLS, with
// prior knowledge (RFC 9113, section 3.3).
type grpcExchange struct {
	service   string
	authority string

	stream  uint32 // of the last check; 0 before the first
	over    bool   // no answer is awaited
	goaway  bool
	control int
	flow    [2]int // bytes of messages sent and received on this connection

	decoder *hpack.Decoder
	block   []byte // header block until END_HEADERS
	ends    bool   // the block's HEADERS had END_STREAM
	open    uint32 // stream of the block; 0 = none is open
	answer  grpcAnswer
}

// grpcAnswer is what came for a check.
type grpcAnswer struct {
	httpStatus string
	status     string
	text       string
	message    []byte
}

func newGRPCExchange(service, authority string) *grpcExchange {
	e := &grpcExchange{service: service, authority: authority, over: true}
	e.decoder = hpack.NewDecoder(4<<10, e.field) // the size before SETTINGS, RFC 9113, section 6.5.2
	e.decoder.SetMaxStringLength(maxHead)
	return e
}

// field takes a header or a trailer.
func (e *grpcExchange) field(f hpack.HeaderField) {
	if e.over || e.open != e.stream {
		return
	}
	switch f.Name {
	case ":status":
		e.answer.httpStatus = f.Value
	case "grpc-status":
		e.answer.status = f.Value
	case "grpc-message":
		e.answer.text = f.Value
	}
}

func (e *grpcExchange) begin(out []byte) []byte {
	if e.stream == 0 {
		out = appendPreface(out)
		e.stream = 1
	} else {
		e.stream += 2
	}
	e.over, e.control, e.answer = false, 0, grpcAnswer{}
	out = appendFrame(out, frameHeaders, flagEndHeaders, e.stream, requestHeaders(e.authority))
	message := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), e.service)
	if e.service == "" {
		message = nil
	}
	prefixed := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	prefixed = append(prefixed, message...)
	e.flow[0] += len(prefixed)
	return appendFrame(out, frameData, flagEndStream, e.stream, prefixed)
}

// judge reads a whole answer.
func (e *grpcExchange) judge() result {
	e.over = true
	a := &e.answer
	var reason string
	switch {
	case a.httpStatus != "200":
		reason = "HTTP status " + quote(a.httpStatus)
	case a.status == "":
		reason = "the answer has no grpc-status"
	case a.status != "0":
		reason = "grpc-status " + quote(a.status) + " " + quote(a.text)
	default:
		reason = notServing(a.message)
	}
	r := result{done: true, reuse: !e.goaway && max(e.flow[0], e.flow[1]) < maxFlow}
	if reason != "" {
		r.failure, r.reason = Active, reason
	}
	return r
}

// notServing says what is wrong with a HealthCheckResponse and its prefix, and
// nothing if it is SERVING.
func notServing(message []byte) string {
	const prefix = 5
	if len(message) < prefix || message[0] != 0 || binary.BigEndian.Uint32(message[1:]) != uint32(len(message)-prefix) {
		return "the answer is not one plain gRPC message"
	}
	var status uint64
	for rest := message[prefix:]; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return "the answer is not a HealthCheckResponse"
		}
		rest = rest[n:]
		if number == 1 && kind == protowire.VarintType {
			status, n = protowire.ConsumeVarint(rest)
		} else {
			n = protowire.ConsumeFieldValue(number, kind, rest)
		}
		if n < 0 {
			return "the answer is not a HealthCheckResponse"
		}
		rest = rest[n:]
	}
	names := []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}
	switch {
	case status == serving:
		return ""
	case status < uint64(len(names)):
		return "the service is " + names[status]
	}
	return fmt.Sprintf("the service is of status %d", status)
}

func (e *grpcExchange) ended() result {
	return failed(Network, "the connection was closed before the whole answer had come")
}

// quote makes a peer's text fit for a log.
func quote(text string) string {
	const most = 128
	return strconv.QuoteToASCII(text[:min(len(text), most)])
}
