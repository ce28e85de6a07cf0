package load

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/backend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// short is how long loads of these tests are measured.
const short = 100 * time.Millisecond

// deadline is when a test that hangs is given up.
const deadline = 5 * time.Minute

func serve(t testing.TB) *backend.Server {
	t.Helper()
	s, err := backend.Serve(netip.MustParseAddrPort("127.0.0.1:0"), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// mustRun makes the load and wants it to have left no descriptors behind.
func mustRun(t testing.TB, target netip.AddrPort, l bench.Load, o Options) *bench.Measure {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	before := descriptors(t)
	m, err := Run(ctx, target, l, o)
	if err != nil {
		t.Fatal(err)
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	return m
}

// descriptors counts all but sockets: the server is in this process too, and
// its side of a connection goes a moment later. That sockets are closed shows in
// Server.Stats.
func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, entry := range entries {
		link, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err == nil && link != "" && link[0] != 's' {
			n++
		}
	}
	return n
}

func wantNoErrors(t testing.TB, m *bench.Measure) {
	t.Helper()
	if len(m.Errors) > 0 {
		t.Errorf("errors: %v", m.Errors)
	}
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !condition(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// script is a server that treats each connection in its own way. Connections
// that serve does not close stay open until the test ends.
func script(t testing.TB, serve func(c *net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan []*net.TCPConn, 1)
	go func() {
		var conns []*net.TCPConn
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				accepted <- conns
				return
			}
			conns = append(conns, c)
			go serve(c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		for _, c := range <-accepted {
			c.Close()
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// echoing reads whole requests after the hello and answers as answer says.
func echoing(size int, answer func(i int, request []byte, c *net.TCPConn) bool) func(c *net.TCPConn) {
	return func(c *net.TCPConn) {
		hello := make([]byte, backend.HelloSize)
		if _, err := readFull(c, hello); err != nil {
			return
		}
		request := make([]byte, size)
		for i := 0; ; i++ {
			if _, err := readFull(c, request); err != nil || !answer(i, request, c) {
				return
			}
		}
	}
}

func readFull(c net.Conn, b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m, err := c.Read(b[n:])
		n += m
		if err != nil {
			return n, fmt.Errorf("after %d bytes: %w", n, err)
		}
	}
	return n, nil
}
