package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// patience is longer than anything here may take.
const patience = time.Minute

// hung is when peers give a connection up: a round of TestKill keeps 16 of them
// busy, and a relay whose peer has stopped reading would wait for ever.
const hung = 5 * time.Minute

// TestMain lets the test binary be the other process of a test.
func TestMain(m *testing.M) {
	roles := map[string]func() error{"relay": childRelay, "taker": childTaker, "holder": childHolder}
	if role := os.Getenv("SLUICE_TEST_CHILD"); role != "" {
		if err := roles[role](); err != nil {
			fmt.Fprintln(os.Stderr, role, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testnet.Main(m)
}

// child prepares this binary in another role.
func child(t *testing.T, role string, environment ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "SLUICE_TEST_CHILD="+role), environment...)
	cmd.Stderr = os.Stderr
	return cmd
}

// start starts a child, which the test ends if it is still there.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
}

// eventually waits until condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func socketPath(t testing.TB) string { return filepath.Join(t.TempDir(), "socket") }

// openFiles is how many descriptors this process has.
func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// noLeak checks, at the end of the test, that as many descriptors are open as now.
func noLeak(t *testing.T) {
	t.Helper()
	// What the runtime opens once and keeps.
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
	}
	before := openFiles(t)
	t.Cleanup(func() { eventually(t, "all descriptors to be closed", func() bool { return openFiles(t) <= before }) })
}

// relayed is a connection through a relay: client, the relay's two sockets, server.
type relayed struct {
	client, server *net.TCPConn
	connection     Connection
}

func newRelayed(t testing.TB, id uint64) *relayed {
	t.Helper()
	r := new(relayed)
	listener, err := sock.Listen(netip.MustParseAddrPort("127.0.0.1:0"), sock.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close(listener)
	r.client = must(t)(net.Dial("tcp", sock.LocalAddr(listener).String())).(*net.TCPConn)
	var downstream int
	eventually(t, "a connection to accept", func() bool {
		fd, _, errno := sock.Accept(listener)
		downstream = fd
		return errno == 0
	})

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	upstream, err := sock.Dial(l.Addr().(*net.TCPAddr).AddrPort(), &sock.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.server = must(t)(l.Accept()).(*net.TCPConn)
	r.connection = Connection{ID: id, Listener: "virtualInbound", Downstream: downstream, Upstream: upstream,
		Peer: sock.PeerAddr(downstream), Accepted: time.Unix(1700000000, 0).UTC()}
	return r
}

func must(t testing.TB) func(net.Conn, error) net.Conn {
	return func(c net.Conn, err error) net.Conn {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(hung))
		return c
	}
}

// close closes the peers' ends.
func (r *relayed) close() {
	r.client.Close()
	r.server.Close()
}

// closeAll closes the relay's ends too.
func (r *relayed) closeAll() {
	r.close()
	sock.Close(r.connection.Downstream)
	sock.Close(r.connection.Upstream)
}

// alive says whether the connection's two sockets still work, by bytes from the
// relay's ends to the peers.
func (r *relayed) alive(c *Connection) error {
	for fd, peer := range map[int]net.Conn{c.Downstream: r.client, c.Upstream: r.server} {
		if n, errno := sock.Write(fd, []byte("x")); n != 1 || errno != 0 {
			return fmt.Errorf("writing: %d, %w", n, errno)
		}
		if n, err := peer.Read(make([]byte, 2)); n != 1 || err != nil {
			return fmt.Errorf("reading: %d, %w", n, err)
		}
	}
	return nil
}

// sides are both ends of a hand-over inside of this process.
type sides struct {
	giver *Giver
	taker *Taker
}

func quick() Options {
	return Options{Process: Process{Version: "1", Configuration: "abc"}, Step: patience, Ready: patience}
}

// connect makes both ends and closes them with the test.
func connect(t *testing.T, give, take Options) sides {
	t.Helper()
	path := socketPath(t)
	server, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	type accepted struct {
		giver *Giver
		err   error
	}
	done := make(chan accepted, 1)
	go func() {
		g, err := server.Accept(context.Background(), func() Options { return give })
		done <- accepted{g, err}
	}()
	taker, err := Dial(context.Background(), path, take)
	a := <-done
	if err := errors.Join(err, a.err); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.giver.Close()
		taker.Close()
	})
	return sides{a.giver, taker}
}

// both runs the two sides of a step and returns their errors.
func both(give, take func() error) (giveErr, takeErr error) {
	done := make(chan error, 1)
	go func() { done <- give() }()
	takeErr = take()
	return <-done, takeErr
}
