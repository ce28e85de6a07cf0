package healthcheck

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/sluiceproxy/sluice/config"
)

// grpcServer is net/http's HTTP/2, so that the protocol is spoken with a peer
// that is not ours.
func grpcServer(t *testing.T, handle http.HandlerFunc) netip.AddrPort {
	t.Helper()
	server := &http.Server{Handler: handle, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	l := listen(t, "127.0.0.1:0")
	done := make(chan struct{})
	go func() { server.Serve(l); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// answers gives a HealthCheckResponse and a grpc-status.
func answers(message []byte, status string) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Trailer", "grpc-status")
		w.Header().Set("Content-Type", "application/grpc")
		w.Write(message)
		w.Header().Set("grpc-status", status)
	}
}

// plain is a gRPC message with its prefix.
func plain(message ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

type grpcCase struct {
	name   string
	handle http.HandlerFunc
	want   State
	reason string
}

func TestGRPC(t *testing.T) {
	for _, tc := range []grpcCase{
		{"serving", answers(plain(8, 1), "0"), Healthy, ""},
		{"serving, with a field that we do not know", answers(plain(0x12, 1, 'x', 8, 1), "0"), Healthy, ""},
		{"not serving", answers(plain(8, 2), "0"), Unhealthy, "NOT_SERVING"},
		{"no status", answers(plain(), "0"), Unhealthy, "UNKNOWN"},
		{"status 9", answers(plain(8, 9), "0"), Unhealthy, "of status 9"},
		{"not protobuf", answers(plain(8), "0"), Unhealthy, "not a HealthCheckResponse"},
		{"compressed", answers([]byte{1, 0, 0, 0, 0}, "0"), Unhealthy, "not one plain gRPC message"},
		{"unimplemented", answers(nil, "12"), Unhealthy, `grpc-status "12"`},
		{"trailers only", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("grpc-status", "5") }, Unhealthy, `grpc-status "5"`},
		{"not gRPC", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, Unhealthy, `HTTP status "404"`},
		{"no trailers", func(w http.ResponseWriter, _ *http.Request) { w.Write(plain(8, 1)) }, Unhealthy, "no grpc-status"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.watch(grpcServer(t, tc.handle), slow(config.HealthCheckGRPC))
			v := r.expect(tc.want)
			if !strings.Contains(v.Reason, tc.reason) || tc.reason != "" && v.Failure != Active {
				t.Errorf("%s %q, want ACTIVE %q", v.Failure, v.Reason, tc.reason)
			}
		})
	}
}

func TestGRPCRequest(t *testing.T) {
	type request struct{ method, path, host, kind, te, body string }
	requests := make(chan request, 1000)
	var peers atomic.Value
	changedPeer := atomic.Bool{}
	address := grpcServer(t, func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		if old := peers.Swap(q.RemoteAddr); old != nil && old != q.RemoteAddr {
			changedPeer.Store(true)
		}
		requests <- request{q.Method, q.URL.Path, q.Host, q.Header.Get("Content-Type"), q.Header.Get("Te"), string(body)}
		answers(plain(8, 1), "0")(w, q)
	})
	c := fast(config.HealthCheckGRPC)
	c.GRPC.ServiceName = "bookinfo.Ratings"
	r := newRig(t)
	r.watch(address, c)
	r.expect(Healthy)
	want := request{"POST", "/grpc.health.v1.Health/Check", "ratings", "application/grpc", "trailers", string(plain(append([]byte{0x0a, 16}, "bookinfo.Ratings"...)...))}
	for range 20 {
		if got := receive(t, "a request", requests); got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
	if changedPeer.Load() {
		t.Error("the connection is not reused")
	}
}

// Before a window of flow control can close, a new connection is made.
func TestGRPCConnectionsAreRetired(t *testing.T) {
	e := newGRPCExchange(strings.Repeat("x", 4000), "a")
	checks := 0
	for reuse := true; reuse; checks++ {
		e.begin(nil)
		e.answer = grpcAnswer{httpStatus: "200", status: "0", message: plain(8, 1)}
		reuse = e.judge().reuse
	}
	if checks < 2 || e.flow[0] > 65535 {
		t.Errorf("%d checks and %d bytes on one connection", checks, e.flow[0])
	}
}

// frames is what a server sends, frame by frame.
func frames(list ...[]byte) []byte { return bytes.Join(list, nil) }

func headerFrame(stream uint32, flags byte, fields ...string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return appendFrame(nil, frameHeaders, flags, stream, block.Bytes())
}

// goodAnswer is a whole answer on a stream.
func goodAnswer(stream uint32) []byte {
	return frames(
		headerFrame(stream, flagEndHeaders, ":status", "200"),
		appendFrame(nil, frameData, 0, stream, plain(8, 1)),
		headerFrame(stream, flagEndHeaders|flagEndStream, "grpc-status", "0"))
}

type frameCase struct {
	name   string
	frames []byte
	want   result // done, failure, reuse, again; reason is a part
}

func TestFrames(t *testing.T) {
	settings := appendFrame(nil, frameSettings, 0, 0, nil)
	pass := result{done: true, reuse: true}
	fail := func(reason string) result { return result{done: true, failure: Network, reason: reason} }
	again := func(reason string) result { r := fail(reason); r.again = true; return r }
	padded := frames(
		appendFrame(nil, frameHeaders, flagEndHeaders|flagPadded|flagPriority, 1, append(append([]byte{2, 0, 0, 0, 0, 9}, 0x88), 0, 0)),
		appendFrame(nil, frameData, flagPadded, 1, append(append([]byte{1}, plain(8, 1)...), 0)),
		headerFrame(1, flagEndHeaders|flagEndStream, "grpc-status", "0"))
	block := headerFrame(1, 0, ":status", "200")[frameHeader:]
	split := frames(
		appendFrame(nil, frameHeaders, 0, 1, block[:1]), appendFrame(nil, frameContinuation, flagEndHeaders, 1, block[1:]),
		goodAnswer(1)[len(block)+frameHeader:])
	goaway := func(last, code byte) []byte {
		return appendFrame(nil, frameGoAway, 0, 0, []byte{0, 0, 0, last, 0, 0, 0, code})
	}
	flood := bytes.Repeat(appendFrame(nil, framePing, 0, 0, make([]byte, 8)), maxControl+2)
	for _, tc := range []frameCase{
		{"whole", frames(settings, goodAnswer(1)), pass},
		{"padding and priority", padded, pass},
		{"continuation", split, pass},
		{"unknown frames", frames(appendFrame(nil, 0x55, 0xff, 7, []byte("x")), goodAnswer(1)), pass},
		{"data of another stream", frames(appendFrame(nil, frameData, flagEndStream, 9, []byte("x")), goodAnswer(1)), pass},
		{"goaway after our stream", frames(goaway(1, 0), goodAnswer(1)), result{done: true}},
		{"goaway before our stream", goaway(0, 0), again("GOAWAY")},
		{"refused", appendFrame(nil, frameReset, 0, 1, []byte{0, 0, 0, 7}), again("code 7")},
		{"reset", appendFrame(nil, frameReset, 0, 1, []byte{0, 0, 0, 2}), fail("code 2")},
		{"push", appendFrame(nil, framePush, flagEndHeaders, 1, make([]byte, 8)), fail("PUSH_PROMISE")},
		{"HTTP/1", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), fail("not HTTP/2")},
		{"frame too long", []byte{0, 0x40, 1, 0, 0, 0, 0, 0, 1}, fail("frame that is too long")},
		{"block interrupted", frames(appendFrame(nil, frameHeaders, 0, 1, block), settings), fail("cut short")},
		{"continuation of nothing", appendFrame(nil, frameContinuation, flagEndHeaders, 1, block), fail("cut short")},
		{"headers without end", frames(appendFrame(nil, frameHeaders, 0, 1, block), bytes.Repeat(appendFrame(nil, frameContinuation, 0, 1, make([]byte, 4096)), 8)), fail("too long")},
		{"bad HPACK", appendFrame(nil, frameHeaders, flagEndHeaders, 1, []byte{0xff, 0xff, 0xff}), fail("HPACK")},
		{"padding beyond the frame", appendFrame(nil, frameData, flagPadded, 1, []byte{9}), fail("DATA")},
		{"long message", appendFrame(nil, frameData, 0, 1, make([]byte, maxMessage+1)), fail("longer than 4096")},
		{"flood of pings", flood, fail("belong to no answer")},
		{"nothing yet", settings[:5], result{}},
	} {
		e := newGRPCExchange("", "a")
		e.begin(nil)
		_, got := e.take(tc.frames)
		if !strings.Contains(got.reason, tc.want.reason) || (got.reason == "") != (tc.want.reason == "") {
			t.Errorf("%s: %q, want %q", tc.name, got.reason, tc.want.reason)
		}
		if got.done != tc.want.done || got.failure != tc.want.failure || got.reuse != tc.want.reuse || got.again != tc.want.again {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestFramesAreAcknowledged(t *testing.T) {
	e := newGRPCExchange("", "a")
	e.begin(nil)
	ping := []byte("8 bytes!")
	used, r := e.take(frames(appendFrame(nil, frameSettings, 0, 0, make([]byte, 6)), appendFrame(nil, framePing, 0, 0, ping),
		appendFrame(nil, frameSettings, flagAck, 0, nil), appendFrame(nil, framePing, flagAck, 0, ping)))
	want := frames(appendFrame(nil, frameSettings, flagAck, 0, nil), appendFrame(nil, framePing, flagAck, 0, ping))
	if r.done || !bytes.Equal(r.reply, want) || used != 9*4+6+16 {
		t.Errorf("%d bytes used, reply %x, want %x", used, r.reply, want)
	}
}

// A server that shuts down between two checks says so by GOAWAY; the next check
// has a connection of its own.
func TestGRPCServerThatGoesAway(t *testing.T) {
	r := newRig(t)
	var connections atomic.Int64
	r.watch(serve(t, func(conn *served) {
		connections.Add(1)
		conn.Write(appendFrame(nil, frameSettings, 0, 0, nil))
		conn.Write(goodAnswer(1))
		conn.Write(appendFrame(nil, frameGoAway, 0, 0, make([]byte, 8)))
		drain(conn)
	}), fast(config.HealthCheckGRPC))
	r.expect(Healthy)
	eventually(t, "three connections", func() bool { return connections.Load() >= 3 })
	if c := r.group.Counts(); c.Failure != 0 {
		t.Errorf("%+v", c)
	}
}

// The same, when the next request is already on its way.
func TestGRPCServerThatRefusesTheNextRequest(t *testing.T) {
	r := newRig(t)
	var connections atomic.Int64
	r.watch(serve(t, func(conn *served) {
		connections.Add(1)
		request := make([]byte, 4096)
		conn.Read(request)
		conn.Write(goodAnswer(1))
		conn.Read(request)
		conn.Write(appendFrame(nil, frameGoAway, 0, 0, []byte{0, 0, 0, 1, 0, 0, 0, 0}))
		drain(conn)
	}), fast(config.HealthCheckGRPC))
	r.expect(Healthy)
	eventually(t, "three connections", func() bool { return connections.Load() >= 3 })
	if c := r.group.Counts(); c.Failure != 0 {
		t.Errorf("%+v", c)
	}
}
