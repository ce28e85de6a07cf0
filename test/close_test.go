package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// way is one way through a sidecar, with a server that the test plays itself.
type way struct {
	name     string
	from     *testnet.Host
	address  string
	accepted chan *net.TCPConn
}

// newWay listens on a host; connections wait in accepted.
func newWay(w *world, name string, from, on *testnet.Host, address string) *way {
	w.Helper()
	v := &way{name: name, from: from, address: address, accepted: make(chan *net.TCPConn, 1000)}
	l := on.Listen("tcp", address)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			v.accepted <- conn.(*net.TCPConn)
		}
	}()
	w.Cleanup(func() {
		l.Close()
		<-done
		for {
			select {
			case conn := <-v.accepted:
				conn.Close()
			default:
				return
			}
		}
	})
	return v
}

// open connects and returns both ends.
func (v *way) open(w *world) (client, server *net.TCPConn) {
	w.Helper()
	client = dial(w, v.from, v.address)
	return client, v.accept(w)
}

// accept waits for the next connection that arrives at the server.
func (v *way) accept(w *world) (server *net.TCPConn) {
	w.Helper()
	select {
	case server = <-v.accepted:
	case <-time.After(patience):
		w.Fatal("the connection does not arrive at the server")
	}
	own(w, server)
	return server
}

// waitSent waits until everything written to a connection was acknowledged.
func waitSent(w *world, conn *net.TCPConn) {
	w.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		w.Fatal(err)
	}
	w.eventually(func() error {
		var unsent int
		var failed error
		if err := raw.Control(func(fd uintptr) { unsent, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
			return err
		}
		if failed == nil && unsent > 0 {
			failed = fmt.Errorf("%d bytes are not acknowledged", unsent)
		}
		return failed
	})
}

func write(t testing.TB, conn net.Conn, data []byte) {
	t.Helper()
	if _, err := conn.Write(data); err != nil {
		t.Fatalf("write %d bytes: %v", len(data), err)
	}
}

func readFull(t testing.TB, conn net.Conn, n int) []byte {
	t.Helper()
	data := make([]byte, n)
	if got, err := io.ReadFull(conn, data); err != nil {
		t.Fatalf("read %d bytes: %v after %d", n, err, got)
	}
	return data
}

// waitBroken writes until that fails, as it does after a reset has come.
func waitBroken(w *world, conn net.Conn) {
	w.Helper()
	w.eventually(func() error {
		_, err := conn.Write([]byte("x"))
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			return nil
		}
		return fmt.Errorf("write: %v, want a broken connection", err)
	})
}

// closeCase does something with both ends of a connection; then the access log
// must have it so.
type closeCase struct {
	name string
	do   func(w *world, client, server *net.TCPConn)
	want ending
}

var (
	byClient = ending{"downstream", "fin", "-"}
	byServer = ending{"upstream", "fin", "-"}
	rstDown  = ending{"downstream", "rst", "-"}
	rstUp    = ending{"upstream", "rst", "-"}
)

// mirrored makes two cases of one: a is the end that acts first.
func mirrored(name string, fromClient, fromServer ending, do func(w *world, a, b *net.TCPConn)) []closeCase {
	return []closeCase{
		{"client " + name, func(w *world, client, server *net.TCPConn) { do(w, client, server) }, fromClient},
		{"server " + name, func(w *world, client, server *net.TCPConn) { do(w, server, client) }, fromServer},
	}
}

func closeCases() []closeCase {
	data := patternBytes(7, 300<<10)
	var cases []closeCase
	add := func(more []closeCase) { cases = append(cases, more...) }
	add(mirrored("FIN", byClient, byServer, func(w *world, a, b *net.TCPConn) {
		write(w, a, []byte("bye"))
		a.CloseWrite()
		if got := wantEnd(w, b); string(got) != "bye" {
			w.Errorf("got %q before the end", got)
		}
		write(w, b, []byte("bye too"))
		b.CloseWrite()
		if got := wantEnd(w, a); string(got) != "bye too" {
			w.Errorf("got %q before the other end", got)
		}
	}))
	add(mirrored("FIN, then 50 MiB the other way", byClient, byServer, func(w *world, a, b *net.TCPConn) {
		a.CloseWrite()
		wantEnd(w, b)
		const size = 50 << 20
		sent := make(chan error, 1)
		var want [32]byte
		go func() {
			var err error
			want, err = send(b, 1, size)
			sent <- errors.Join(err, b.CloseWrite())
		}()
		got, err := receive(a, size)
		if err := errors.Join(err, <-sent); err != nil || got != want {
			w.Errorf("%v; same bytes: %t", err, got == want)
		}
		wantEnd(w, a)
	}))
	add(mirrored("RST", rstDown, rstUp, func(w *world, a, b *net.TCPConn) {
		reset(a)
		wantReset(w, b)
	}))
	add(mirrored("RST after data", rstDown, rstUp, func(w *world, a, b *net.TCPConn) {
		write(w, a, data)
		waitSent(w, a)
		reset(a)
		if got := wantReset(w, b); !bytes.Equal(got, data) {
			isPrefix(w, got, data)
			w.Errorf("%d of %d acknowledged bytes arrived before the reset", len(got), len(data))
		}
	}))
	add(mirrored("RST in mid-stream", rstDown, rstUp, func(w *world, a, b *net.TCPConn) {
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = send(a, 3, 1<<30) // until it is reset
		}()
		begin := readFull(w, b, 8<<20)
		reset(a)
		<-sent
		got := append(begin, wantReset(w, b)...)
		isPrefix(w, got, patternBytes(3, int64(len(got))))
	}))
	add(mirrored("RST while the other sends", rstDown, rstUp, func(w *world, a, b *net.TCPConn) {
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = send(b, 3, 1<<40)
		}()
		readFull(w, a, 1<<20)
		reset(a)
		<-sent // or it would block for ever
	}))
	add(mirrored("FIN, then its RST", rstDown, rstUp, func(w *world, a, b *net.TCPConn) {
		a.CloseWrite()
		wantEnd(w, b)
		reset(a)
		waitBroken(w, b)
	}))
	add(mirrored("FIN, then RST from the other", rstUp, rstDown, func(w *world, a, b *net.TCPConn) {
		a.CloseWrite()
		wantEnd(w, b)
		reset(b)
		wantReset(w, a)
	}))
	add(mirrored("closes with unread bytes", rstDown, rstUp, func(w *world, a, b *net.TCPConn) {
		write(w, b, data)
		readFull(w, a, 1)
		a.Close()
		wantReset(w, b)
	}))
	add(mirrored("closes without a word", byClient, byServer, func(w *world, a, b *net.TCPConn) {
		a.Close()
		wantEnd(w, b)
		b.Close()
	}))
	return append(cases, closeCase{"garbage", func(w *world, client, server *net.TCPConn) {
		write(w, client, data)
		client.CloseWrite()
		if got := wantEnd(w, server); !bytes.Equal(got, data) {
			w.Errorf("%d bytes arrived, not the %d sent", len(got), len(data))
		}
		server.Close()
		wantEnd(w, client)
	}, byClient})
}

// TestClosing has FIN and RST come from each side, at each stage, by each way.
func TestClosing(t *testing.T) {
	t.Parallel()
	for _, mode := range []capture{redirect, tproxy} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t)
			w.applyRules(mode)
			s := startSidecar(w, sidecarText(settings{mode: mode}), asSidecar(mode))
			ways := []*way{newWay(w, "inbound", w.client, w.pod, podIP+":7000")}
			if mode == redirect {
				ways = append(ways, newWay(w, "outbound", w.pod, w.remote, remoteIP+":7000"),
					newWay(w, "inbound IPv6", w.client, w.pod, "["+podIP6+"]:7000"))
			}
			for _, v := range ways {
				for _, tc := range closeCases() {
					t.Run(v.name+" "+tc.name, func(t *testing.T) { runCloseCase(s.in(t), v, tc) })
				}
			}
		})
	}
}

func runCloseCase(s *sidecar, v *way, tc closeCase) {
	client, server := v.open(s.w)
	write(s.w, server, []byte("!")) // when it arrives, sluice knows that both are connected
	readFull(s.w, client, 1)
	tc.do(s.w, client, server)
	client.Close()
	server.Close()
	r := s.ended(client)
	if got := r.ending(); got != tc.want {
		s.w.Errorf("the access log says %+v, want %+v", got, tc.want)
	}
	if (r.Reason == "rst") != (r.Errno == "ECONNRESET") {
		s.w.Errorf("reason %s, errno %q", r.Reason, r.Errno)
	}
}

// TestEarlyReset has clients reset at once, before sluice accepts, while it
// connects, and after. A server that has accepted must see a reset too, however
// early it came.
func TestEarlyReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	v := newWay(w, "", w.client, w.pod, podIP+":7000")
	s := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
	const clients = 300
	for range clients {
		conn, err := v.from.Dial("tcp", v.address)
		if err != nil {
			t.Fatal(err)
		}
		if err := reset(conn.(*net.TCPConn)); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range s.waitRecords(clients, func(record) bool { return true }) {
		if r.ClosedBy != "downstream" || r.Reason != "rst" {
			t.Errorf("record %+v", r)
		}
	}
	// One that ends well comes after all of these: who is accepted before it saw a reset.
	client := dial(w, v.from, v.address)
	write(t, client, []byte("last"))
	client.CloseWrite()
	for {
		server := v.accept(w)
		got, err := io.ReadAll(server)
		if string(got) == "last" && err == nil {
			break
		}
		if len(got) > 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("a server gets %q and %v", got, err)
		}
	}
}

// TestTimeouts waits for each of the times that end a connection.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := newWay(w, "", w.client, w.remote, remoteIP+":7000")
	endpoints := []string{remoteIP + ":7000"}
	s := startSidecar(w, gatewayText(quickDrain,
		gateway{name: "idle", port: 8081, endpoints: endpoints, tcp: "idle_timeout: 5s"},
		gateway{name: "half", port: 8082, endpoints: endpoints, tcp: "half_close_timeout: 300ms"},
		gateway{name: "long", port: 8083, endpoints: endpoints, tcp: "max_connection_duration: 5s"},
	), asSidecar(redirect))
	for _, tc := range []struct {
		name   string
		port   int
		do     func(client, server *net.TCPConn)
		want   ending
		metric string
	}{
		{"idle", 8081, func(_, _ *net.TCPConn) {}, ending{"proxy", "idle_timeout", "SI"}, "envoy_tcp_idle_timeout"},
		{"half closed by the client", 8082, func(c, _ *net.TCPConn) { c.CloseWrite() }, ending{"proxy", "half_close_timeout", "-"}, ""},
		{"half closed by the server", 8082, func(_, s *net.TCPConn) { s.CloseWrite() }, ending{"proxy", "half_close_timeout", "-"}, ""},
		{"long", 8083, func(_, _ *net.TCPConn) {}, ending{"proxy", "max_duration", "DT"}, "envoy_tcp_max_downstream_connection_duration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := s.in(t)
			one := &way{from: w.client, address: fmt.Sprintf("%s:%d", podIP, tc.port), accepted: v.accepted}
			client, server := one.open(s.w)
			write(t, client, []byte("ping"))
			readFull(t, server, 4)
			tc.do(client, server)
			wantEnd(t, client)
			wantEnd(t, server)
			if r := s.ended(client); r.ending() != tc.want {
				t.Errorf("the access log says %+v, want %+v", r.ending(), tc.want)
			}
			if tc.metric != "" {
				s.waitMetric(1, tc.metric)
			}
		})
	}
}
