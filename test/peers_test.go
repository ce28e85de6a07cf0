package test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// serve hands each connection to handle, on a goroutine of its own, and closes
// it afterwards. All have ended when the test has.
func serve(t testing.TB, l net.Listener, handle func(*net.TCPConn)) {
	t.Helper()
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			handlers.Go(func() {
				defer conn.Close()
				// Nobody fails a test by a deadline that nobody reaches.
				_ = conn.SetDeadline(time.Now().Add(hung))
				handle(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		handlers.Wait()
	})
}

// greet is an application that speaks first: it says where it is and who it
// sees, and echoes from then on.
func greet(conn *net.TCPConn) {
	fmt.Fprintf(conn, "%s %s\n", conn.LocalAddr(), conn.RemoteAddr())
	// Without splice, which would take two more descriptors.
	_, _ = io.CopyBuffer(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}, make([]byte, 4<<10))
}

// serveGreeting starts greet on each address of a host.
func serveGreeting(w *world, host *testnet.Host, addresses ...string) {
	w.Helper()
	for _, address := range addresses {
		serve(w, host.Listen("tcp", address), greet)
	}
}

// hung is when a connection that moves no more bytes is given up. Tests may have
// one for minutes, on a slow machine.
const hung = 5 * time.Minute

// firstPort and the ports above it, up to where those begin that the kernel gives,
// are for connections with a port of their own: REDIRECT changes a port that
// another connection of the client has to elsewhere, also one that has ended and
// that conntrack still remembers, and then no line of the access log has it.
const firstPort = 20000

// fromOwnPort is for one connection, from a port of its own.
func fromOwnPort(w *world) (dialer *net.Dialer, port int) {
	port = firstPort + int(w.ports.Add(1))
	return &net.Dialer{LocalAddr: &net.TCPAddr{Port: port}, Timeout: patience}, port
}

// dial connects from a port of its own, unless it did so ten thousand times, and
// gives the connection a deadline. It is closed with the test.
func dial(w *world, from *testnet.Host, address string) *net.TCPConn {
	w.Helper()
	dialer := &net.Dialer{Timeout: patience}
	if w.ports.Load() < 10_000 {
		dialer, _ = fromOwnPort(w)
	}
	conn, err := from.DialFrom(dialer, "tcp", address)
	if err != nil {
		w.Fatalf("dial %s: %v", address, err)
	}
	own(w, conn)
	return conn.(*net.TCPConn)
}

func own(w *world, conn net.Conn) {
	w.Helper()
	w.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(hung)); err != nil {
		w.Fatal(err)
	}
}

// talk reads the greeting and has one message echoed. It returns where the
// application is and whom it sees.
func talk(conn net.Conn) (server, seen string, err error) {
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return "", "", fmt.Errorf("read the greeting: %w", err)
	}
	const message = "are you there?\n"
	if _, err := io.WriteString(conn, message); err != nil {
		return "", "", err
	}
	if back, err := in.ReadString('\n'); err != nil || back != message {
		return "", "", fmt.Errorf("echo %q: %w", back, err)
	}
	server, seen, _ = strings.Cut(strings.TrimSpace(line), " ")
	return server, seen, nil
}

// converse connects, talks and closes, and waits for the access log's line.
func converse(s *sidecar, from *testnet.Host, address string) (server, seen string, r record) {
	s.w.Helper()
	dialer, _ := fromOwnPort(s.w)
	conn, err := from.DialFrom(dialer, "tcp", address)
	if err != nil {
		s.w.Fatalf("dial %s: %v", address, err)
	}
	own(s.w, conn)
	server, seen, err = talk(conn)
	if err != nil {
		s.w.Fatalf("talk to %s: %v", address, err)
	}
	conn.Close()
	return server, seen, s.ended(conn)
}

// reset closes a connection with RST.
func reset(conn *net.TCPConn) error {
	return errors.Join(conn.SetLinger(0), conn.Close())
}

// wantReset reads to the end, which must be a reset, and returns what came
// before it.
func wantReset(t testing.TB, conn net.Conn) []byte {
	t.Helper()
	got, err := io.ReadAll(conn)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after %d bytes: %v, want connection reset", len(got), err)
	}
	return got
}

// wantEnd reads to the end, which must be a FIN.
func wantEnd(t testing.TB, conn net.Conn) []byte {
	t.Helper()
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("after %d bytes: %v, want the end", len(got), err)
	}
	return got
}

// pattern is n bytes that no shift and no swap leaves the same.
func pattern(seed uint64, n int64) io.Reader {
	var key [32]byte
	key[0] = byte(seed)
	return io.LimitReader(rand.NewChaCha8(key), n)
}

func patternBytes(seed uint64, n int64) []byte {
	b, err := io.ReadAll(pattern(seed, n))
	if err != nil {
		panic(err) // it has no errors
	}
	return b
}

// send writes a pattern and returns its hash.
func send(to io.Writer, seed uint64, n int64) (sum [32]byte, err error) {
	hash := sha256.New()
	buffer := make([]byte, 256<<10)
	sent, err := io.CopyBuffer(struct{ io.Writer }{to}, io.TeeReader(pattern(seed, n), hash), buffer)
	if err != nil {
		return sum, fmt.Errorf("after %d of %d bytes sent: %w", sent, n, err)
	}
	return [32]byte(hash.Sum(nil)), nil
}

// receive reads n bytes and returns their hash.
func receive(from io.Reader, n int64) (sum [32]byte, err error) {
	hash := sha256.New()
	buffer := make([]byte, 256<<10)
	got, err := io.CopyBuffer(hash, io.LimitReader(struct{ io.Reader }{from}, n), buffer)
	if err == nil && got < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return sum, fmt.Errorf("after %d of %d bytes received: %w", got, n, err)
	}
	return [32]byte(hash.Sum(nil)), nil
}

// isPrefix fails the test unless got is how want begins.
func isPrefix(t testing.TB, got, want []byte) {
	t.Helper()
	if !bytes.HasPrefix(want, got) {
		t.Errorf("%d bytes arrived that are not how the %d sent ones begin", len(got), len(want))
	}
}

// dialFrom is dial from a given ip:port; "" is any.
func dialFrom(w *world, from *testnet.Host, source, address string) *net.TCPConn {
	w.Helper()
	if source == "" {
		return dial(w, from, address)
	}
	local, err := net.ResolveTCPAddr("tcp", source)
	if err != nil {
		w.Fatal(err)
	}
	conn, err := from.DialFrom(&net.Dialer{LocalAddr: local, Timeout: patience}, "tcp", address)
	if err != nil {
		w.Fatalf("dial %s from %s: %v", address, source, err)
	}
	own(w, conn)
	return conn.(*net.TCPConn)
}

// refused connects from a port of its own and expects a reset, during connect
// or after it. It returns the access log's line.
func refused(s *sidecar, from *testnet.Host, address string) record {
	s.w.Helper()
	dialer, port := fromOwnPort(s.w)
	conn, err := from.DialFrom(dialer, "tcp", address)
	if err == nil {
		own(s.w, conn)
		if got := wantReset(s.w, conn); len(got) > 0 {
			s.w.Errorf("%d bytes before the reset", len(got))
		}
	} else if !errors.Is(err, syscall.ECONNRESET) {
		s.w.Fatalf("dial %s: %v, want a reset", address, err)
	}
	suffix := fmt.Sprintf(":%d", port)
	return s.waitRecords(1, func(r record) bool { return strings.HasSuffix(r.Remote, suffix) })[0]
}

// attempt connects, asks for a page, and returns the access log's line, however
// it went.
func attempt(s *sidecar, from *testnet.Host, address string) record {
	s.w.Helper()
	dialer, port := fromOwnPort(s.w)
	if conn, err := from.DialFrom(dialer, "tcp", address); err == nil {
		own(s.w, conn)
		if _, err := io.WriteString(conn, request); err == nil {
			_, _ = conn.Read(make([]byte, 1)) // bytes or a reset: the record tells
		}
		conn.Close()
	}
	suffix := fmt.Sprintf(":%d", port)
	return s.waitRecords(1, func(r record) bool { return strings.HasSuffix(r.Remote, suffix) })[0]
}
