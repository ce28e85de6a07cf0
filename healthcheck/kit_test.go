package healthcheck

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		benchServer()
	}
	testnet.Main(m)
}

// patience bounds every wait; no test is faster or slower for it.
const patience = time.Minute

// change is a call of GroupOptions.Changed.
type change struct {
	id      int32
	verdict Verdict
}

// rig is a checker with one group whose changes and events a test waits for.
type rig struct {
	t       testing.TB
	checker *Checker
	group   *Group
	options GroupOptions
	changes chan change
	skips   chan error

	mu     sync.Mutex
	events []Event
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, changes: make(chan change, 100_000), skips: make(chan error, 1000)}
	checker, err := New(Options{Event: func(e Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	checker.Start()
	t.Cleanup(checker.Close)
	r.checker = checker
	r.options = GroupOptions{
		Dial:      dial,
		HostFault: func(err error) bool { return errors.Is(err, sock.EMFILE) || errors.Is(err, sock.EADDRNOTAVAIL) },
		Changed:   r.note,
		Skipped:   func(err error) { r.skips <- err },
	}
	return r
}

// note is GroupOptions.Changed.
func (r *rig) note(id int32, state State, reason string) {
	v := r.group.Verdict(id)
	if v.State != state || v.Reason != reason {
		r.t.Errorf("told of %s %q, but it is %s %q", state, reason, v.State, v.Reason)
	}
	r.changes <- change{id, v}
}

func dial(address netip.AddrPort) (int, error) { return sock.Dial(address, &sock.DialOptions{}) }

// watch begins to check one endpoint, with ID 1.
func (r *rig) watch(address netip.AddrPort, checks ...config.HealthCheck) {
	r.group = r.checker.NewGroup("ratings", checks, r.options)
	r.group.Set([]Target{{ID: 1, Address: address}})
}

func (r *rig) next() change { return receive(r.t, "a change", r.changes) }

// expect waits for the next change of endpoint 1.
func (r *rig) expect(want State) Verdict {
	r.t.Helper()
	got := r.next()
	if got.id != 1 || got.verdict.State != want {
		r.t.Fatalf("endpoint %d is %s (%s), want 1 %s", got.id, got.verdict.State, got.verdict.Reason, want)
	}
	return got.verdict
}

// heard is the types of all events so far.
func (r *rig) heard() []EventType {
	r.mu.Lock()
	defer r.mu.Unlock()
	var types []EventType
	for _, e := range r.events {
		types = append(types, e.Type)
	}
	return types
}

// receive waits for a value and fails the test when none comes.
func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// fast is a check that runs often and waits long enough for a busy machine.
func fast(kind config.HealthCheckType) config.HealthCheck {
	c := config.DefaultHealthCheck()
	c.Type = kind
	c.Interval, c.NoTrafficInterval = 10*time.Millisecond, 10*time.Millisecond
	c.Timeout = patience
	return c
}

// slow is a check whose first result is the only one that a test sees.
func slow(kind config.HealthCheckType) config.HealthCheck {
	c := fast(kind)
	c.Interval = time.Hour
	return c
}

// serve hands each connection to handle, and closes it when that returns.
// Handlers end with the test at the latest.
func serve(t testing.TB, handle func(*served)) netip.AddrPort {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(t.Context(), func() { conn.SetDeadline(time.Now()) })
				defer stop()
				handle(&served{conn, done})
			})
		}
	})
	t.Cleanup(func() {
		close(done)
		l.Close()
		running.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// served is a connection on the server's side.
type served struct {
	net.Conn
	done <-chan struct{} // closed when the test ends
}

// hold neither reads nor closes.
func hold(conn *served) { <-conn.done }

// reset closes with RST.
func reset(conn *served) { conn.Conn.(*net.TCPConn).SetLinger(0) }

// drain reads until the peer's FIN.
func drain(conn *served) { io.Copy(io.Discard, conn) }

// pause lets a moment pass on the connection.
func (c *served) pause() {
	select {
	case <-c.done:
	case <-time.After(time.Millisecond):
	}
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// says reads a request up to its empty line, as far as there is one, and answers.
func says(answer string) func(*served) {
	return func(conn *served) {
		readRequest(conn)
		io.WriteString(conn, answer)
		io.Copy(io.Discard, conn)
	}
}

// readRequest reads up to the end of an HTTP head.
func readRequest(conn *served) string {
	var request []byte
	one := make([]byte, 1)
	for headEnd(request, 0) == 0 {
		if _, err := conn.Read(one); err != nil {
			break
		}
		request = append(request, one...)
	}
	return string(request)
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	testnet.Eventually(t, patience, func() error {
		if !condition() {
			return errors.New(what)
		}
		return nil
	})
}
