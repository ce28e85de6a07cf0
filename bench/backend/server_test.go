package backend

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadline = 5 * time.Minute

func serve(t testing.TB, loops int) *Server {
	t.Helper()
	s, err := Serve(netip.MustParseAddrPort("127.0.0.1:0"), loops)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func dial(t testing.TB, s *Server) *net.TCPConn {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(s.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return c
}

func mustWrite(t testing.TB, c net.Conn, parts ...[]byte) {
	t.Helper()
	for _, part := range parts {
		if _, err := c.Write(part); err != nil {
			t.Fatal(err)
		}
	}
}

func mustRead(t testing.TB, c net.Conn, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// pattern is n bytes that differ from their neighbours.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !condition(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

type echoCase struct {
	name  string
	size  int
	parts []int // lengths of the writes; all is answered in the end
}

func TestEcho(t *testing.T) {
	for _, tc := range []echoCase{
		{"one byte", 1, []int{1}},
		{"one request", 100, []int{100}},
		{"a request in parts", 100, []int{1, 50, 49}},
		{"requests across parts", 100, []int{150, 50, 30, 170}},
		{"pipelined", 10, []int{1000, 10}},
		{"a whole buffer", echoBuffer, []int{echoBuffer, echoBuffer}},
		{"a whole buffer in parts", echoBuffer, []int{5, echoBuffer, echoBuffer - 5}},
		{"more than a buffer", echoBuffer + 1, []int{echoBuffer, 1}},
		{"more than sockets hold", 16 << 20, []int{16 << 20}},
		{"small requests, more than sockets hold", 1000, []int{16_000_000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := dial(t, serve(t, 1))
			total := 0
			for _, n := range tc.parts {
				total += n
			}
			sent := pattern(total)
			go func() {
				c.Write(Hello{Kind: Echo, Size: uint32(tc.size)}.Append(nil))
				rest := sent
				for _, n := range tc.parts {
					c.Write(rest[:n])
					rest = rest[n:]
				}
				c.CloseWrite()
			}()
			got, err := io.ReadAll(c)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("got %d bytes back of %d, equal %v, %v", len(got), len(sent), bytes.Equal(got, sent), err)
			}
		})
	}
}

// TestEchoWaits shows that the answer comes for a whole request only.
func TestEchoWaits(t *testing.T) {
	s := serve(t, 1)
	c := dial(t, s)
	mustWrite(t, c, Hello{Kind: Echo, Size: 10}.Append(nil), []byte("12345"))
	eventually(t, "the connection to be accepted", func() bool { return s.Stats().Open == 1 })
	mustWrite(t, c, []byte("6789"))
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if n, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("got %d bytes of an answer to half a request, %v", n, err)
	}
	if err := c.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, c, []byte("0"))
	if got := mustRead(t, c, 10); string(got) != "1234567890" {
		t.Errorf("got %q", got)
	}
}

func TestHelloInParts(t *testing.T) {
	c := dial(t, serve(t, 1))
	for _, b := range append(Hello{Kind: Echo, Size: 2}.Append(nil), "ab"...) {
		mustWrite(t, c, []byte{b})
	}
	if got := mustRead(t, c, 2); string(got) != "ab" {
		t.Errorf("got %q", got)
	}
}

func TestStreams(t *testing.T) {
	const much = 8 << 20
	for _, tc := range []struct {
		name  string
		hello Hello
		up    bool
		down  bool
	}{
		{"sink", Hello{Kind: Sink}, true, false},
		{"source", Hello{Kind: Source}, false, true},
		{"both", Hello{Kind: Both}, true, true},
		{"paced source", Hello{Kind: Source, Rate: 64 << 20}, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, 1)
			c := dial(t, s)
			mustWrite(t, c, tc.hello.Append(nil))
			written := make(chan error, 1)
			go func() {
				var err error
				if tc.up {
					_, err = c.Write(pattern(much))
				}
				written <- err
			}()
			if tc.down {
				mustRead(t, c, much)
			}
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			// A FIN is answered, though what was sent meanwhile may be lost.
			if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatal(err)
			}
			eventually(t, "the connection to end", func() bool { return s.Stats().Open == 0 })
		})
	}
}

// TestPace wants a paced source to give what it is asked for, no more.
func TestPace(t *testing.T) {
	const rate = 1 << 20
	c := dial(t, serve(t, 1))
	began := time.Now()
	mustWrite(t, c, Hello{Kind: Source, Rate: rate}.Append(nil))
	const n = rate / 10
	mustRead(t, c, n)
	if least := time.Second / 10 * 9 / 10; time.Since(began) < least {
		t.Errorf("%d bytes came after %v, at %d bytes a second", n, time.Since(began), rate)
	}
}

func TestStrangers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		first []byte
	}{
		{"other bytes", bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 2)},
		{"no kind", Hello{}.Append(nil)},
		{"unknown kind", Hello{Kind: Both + 1}.Append(nil)},
		{"echo of nothing", Hello{Kind: Echo}.Append(nil)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, 1)
			c := dial(t, s)
			mustWrite(t, c, tc.first)
			if n, err := c.Read(make([]byte, 1)); err == nil {
				t.Errorf("got %d bytes", n)
			}
			if got := s.Stats(); got.Strangers != 1 || got.Connections != 1 || got.Open != 0 {
				t.Errorf("stats %+v", got)
			}
		})
	}
}

// TestEnds has clients go away in all states.
func TestEnds(t *testing.T) {
	echo := Hello{Kind: Echo, Size: 100}.Append(nil)
	for _, tc := range []struct {
		name  string
		first []byte
	}{
		{"silent", nil},
		{"in the hello", echo[:10]},
		{"after the hello", echo},
		{"in a request", append(echo[:HelloSize:HelloSize], pattern(50)...)},
		{"unread answers", append(Hello{Kind: Echo, Size: 100_000}.Append(nil), pattern(4<<20)...)},
		{"source", Hello{Kind: Source}.Append(nil)},
		{"paced source", Hello{Kind: Source, Rate: 1000}.Append(nil)},
	} {
		for _, end := range []string{"fin", "reset"} {
			t.Run(tc.name+", "+end, func(t *testing.T) {
				s := serve(t, 1)
				c := dial(t, s)
				go c.Write(tc.first)
				eventually(t, "the connection to be accepted", func() bool { return s.Stats().Connections == 1 })
				if end == "reset" {
					c.SetLinger(0)
				}
				c.Close()
				eventually(t, "the connection to end", func() bool { return s.Stats().Open == 0 })
			})
		}
	}
}

func TestLoops(t *testing.T) {
	s := serve(t, 3)
	for range 50 {
		c := dial(t, s)
		mustWrite(t, c, Hello{Kind: Echo, Size: 1}.Append(nil), []byte("x"))
		mustRead(t, c, 1)
	}
	if got := s.Stats(); got.Connections != 50 || got.Open != 50 {
		t.Errorf("stats %+v", got)
	}
	s.Close()
	s.Close()
	if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
		c.Close()
		t.Error("the closed server accepts")
	}
}

func TestServeRefuses(t *testing.T) {
	if s, err := Serve(netip.MustParseAddrPort("192.0.2.1:1"), 1); err == nil {
		s.Close()
		t.Error("an address of another host has been listened on")
	}
}
