package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
	"golang.org/x/sys/unix"
)

// serveAll gives listeners and connections, as a daemon does, and returns the IDs
// that the other side has taken.
func serveAll(g *Giver, listeners []ListenerSocket, live []Connection) ([]uint64, error) {
	if err := g.SendListeners(listeners); err != nil {
		return nil, err
	}
	if _, err := g.WaitReady(); err != nil {
		return nil, err
	}
	taken, err := g.SendConnections(live)
	if err != nil {
		return taken, err
	}
	return taken, g.Done()
}

// takeAll takes what keep says.
func takeAll(t *Taker, keep func(*Connection) bool) ([]ListenerSocket, []Connection, error) {
	listeners, err := t.Listeners()
	if err != nil {
		return nil, nil, err
	}
	if err := t.Ready(nil); err != nil {
		return listeners, nil, err
	}
	var all []Connection
	for {
		batch, err := t.Connections()
		if err == io.EOF {
			return listeners, all, nil
		}
		if err != nil {
			return listeners, all, err
		}
		batch = slices.DeleteFunc(batch, func(c Connection) bool { return !keep(&c) })
		ids := []uint64{}
		for i := range batch {
			ids = append(ids, batch[i].ID)
		}
		if err := t.Acknowledge(ids); err != nil {
			return listeners, all, err
		}
		all = append(all, batch...)
	}
}

// TestHandover hands over more connections than fit in a batch, and more sockets
// than fit in a message; every third connection is refused.
func TestHandover(t *testing.T) {
	noLeak(t)
	const connections, sockets = 130, 300
	live, relays := make([]Connection, connections), make([]*relayed, connections)
	for i := range live {
		relays[i] = newRelayed(t, uint64(i))
		defer relays[i].closeAll()
		relays[i].connection.FromUpstream = Flow{Read: 7, Written: 4, Waiting: []byte("abc"), Ended: true}
		live[i] = relays[i].connection
	}
	listeners := make([]ListenerSocket, sockets)
	for i := range listeners {
		fd, err := sock.Listen(netip.MustParseAddrPort("127.0.0.1:0"), sock.ListenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close(fd)
		listeners[i] = ListenerSocket{Listener: "in", Address: sock.LocalAddr(fd), Loop: i, Kind: Traffic, FD: fd}
	}

	s := connect(t, quick(), quick())
	var given []uint64
	var got []Connection
	var gotListeners []ListenerSocket
	giveErr, takeErr := both(func() (err error) {
		given, err = serveAll(s.giver, listeners, live)
		return err
	}, func() (err error) {
		gotListeners, got, err = takeAll(s.taker, func(c *Connection) bool { return c.ID%3 != 0 })
		return err
	})
	if giveErr != nil || takeErr != nil {
		t.Fatal(giveErr, takeErr)
	}

	if len(gotListeners) != sockets || len(got) != len(given) || len(got) != 86 {
		t.Fatalf("got %d listeners and %d connections; the giver says %d", len(gotListeners), len(got), len(given))
	}
	for i := range gotListeners {
		l := gotListeners[i]
		if address := sock.LocalAddr(l.FD); address != listeners[i].Address || l.Loop != i || l.Kind != Traffic {
			t.Errorf("socket %d is %+v at %v", i, l, address)
		}
		sock.Close(l.FD)
	}
	for i := range got {
		c := got[i]
		r := relays[c.ID]
		want := live[c.ID]
		r.connection.Downstream, r.connection.Upstream = c.Downstream, c.Upstream // the old ones are closed
		want.Downstream, want.Upstream = c.Downstream, c.Upstream
		if !reflect.DeepEqual(c, want) {
			t.Errorf("connection %d arrived as %+v, want %+v", c.ID, c, want)
		}
	}
	for i, r := range relays {
		if err := r.alive(&r.connection); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
}

// childTaker takes all and echoes on it: "taken" at first, then what comes.
func childTaker() error {
	taker, err := Dial(context.Background(), os.Getenv("SLUICE_TEST_SOCKET"), quick())
	if err != nil {
		return err
	}
	defer taker.Close()
	listeners, live, err := takeAll(taker, func(*Connection) bool { return true })
	if err != nil {
		return err
	}
	for i := range live {
		sock.Write(live[i].Downstream, []byte("taken"))
	}
	for i := range listeners {
		l, err := net.FileListener(os.NewFile(uintptr(listeners[i].FD), "listener"))
		if err != nil {
			return err
		}
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		conn.Write([]byte("accepted"))
		conn.Close()
	}
	return nil
}

// TestTwoProcesses shows that a connection, and one in a listening socket's queue,
// survive in another process.
func TestTwoProcesses(t *testing.T) {
	noLeak(t)
	path := socketPath(t)
	server, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r := newRelayed(t, 1)
	defer r.close()
	listener, err := sock.Listen(netip.MustParseAddrPort("127.0.0.1:0"), sock.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	queued := must(t)(net.Dial("tcp", sock.LocalAddr(listener).String()))
	defer queued.Close()

	other := child(t, "taker", "SLUICE_TEST_SOCKET="+path)
	start(t, other)
	giver, err := server.Accept(context.Background(), quick)
	if err != nil {
		t.Fatal(err)
	}
	defer giver.Close()
	if giver.Peer() != quick().Process {
		t.Errorf("the peer is %+v", giver.Peer())
	}
	if pid := giver.PeerProcess(); pid != other.Process.Pid {
		t.Errorf("the peer is process %d, want %d", pid, other.Process.Pid)
	}
	taken, err := serveAll(giver, []ListenerSocket{{Listener: "in", FD: listener}}, []Connection{r.connection})
	sock.Close(listener)
	if err != nil || len(taken) != 1 {
		t.Fatal(taken, err)
	}
	for conn, want := range map[net.Conn]string{r.client: "taken", queued: "accepted"} {
		if got, err := io.ReadAll(conn); string(got) != want || err != nil {
			t.Errorf("read %q, %v; want %q", got, err, want)
		}
	}
	if err := other.Wait(); err != nil {
		t.Error(err)
	}
}

func TestListenPath(t *testing.T) {
	noLeak(t)
	path := socketPath(t)
	first, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v; want 0600", info.Mode(), err)
	}
	second, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the first one's Close has removed the second one's socket: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	abstract, err := Listen(own("listen"))
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	for _, wrong := range []string{"", "/nowhere/socket", own("listen")} {
		if s, err := Listen(wrong); err == nil {
			s.Close()
			t.Errorf("Listen(%q) gives no error", wrong)
		}
	}
}

func TestAcceptEndsWithContext(t *testing.T) {
	server, err := Listen(socketPath(t))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for range 2 { // a deadline that is left would end the second one by itself
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		if g, err := server.Accept(ctx, quick); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Accept = %v, %v", g, err)
		}
		cancel()
	}
}

func TestAllowedUsers(t *testing.T) {
	cases := []struct {
		peer, own int
		ok        bool
	}{{1337, 1337, true}, {0, 1337, true}, {0, 0, true}, {1338, 1337, false}, {1337, 0, false}}
	for _, tc := range cases {
		if err := allowed(tc.peer, tc.own); (err == nil) != tc.ok {
			t.Errorf("user %d to a process of user %d: %v", tc.peer, tc.own, err)
		}
	}
}

// TestOtherUser connects as somebody else, to a socket that everybody may open.
func TestOtherUser(t *testing.T) {
	const nobody = 65534
	name := own("user")
	server, err := Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	gone, connected := make(chan struct{}), make(chan error, 1)
	go func() {
		// The goroutine ends with its thread, whose user is another one from here on.
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			connected <- errno
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: name})
		}
		connected <- err
		<-gone
		unix.Close(fd)
	}()
	defer close(gone)
	if err := <-connected; err != nil {
		t.Fatal(err)
	}
	g, err := server.Accept(context.Background(), quick)
	if err == nil {
		g.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "of user 65534") {
		t.Errorf("another user's process: %v", err)
	}
}

// BenchmarkBatch is the pause of a full batch: from its last byte relayed here to the
// first that can be relayed there.
func BenchmarkBatch(b *testing.B) {
	r := newRelayed(b, 0)
	defer r.closeAll()
	live := make([]Connection, maxBatch)
	for i := range live {
		live[i] = r.connection
		live[i].ID = uint64(i)
	}
	own, other := unixPair(b)
	defer own.Close()
	defer other.Close()
	giver, taker := Giver{link: link{own, patience}}, Taker{link: link{other, patience}, ready: patience}
	for b.Loop() {
		_, err := both(func() error {
			_, err := giver.SendConnections(live)
			return err
		}, func() error {
			if _, err := taker.Connections(); err != nil {
				return err
			}
			return taker.Acknowledge(nil) // so that there is something to give the next time
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// own is an abstract socket's name of this process alone: all of the machine share them.
func own(name string) string { return fmt.Sprintf("@sluice-test-%s-%d", name, os.Getpid()) }
