package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// written is a connection that keeps what is written to it and has nothing to
// read.
type written struct {
	net.Conn
	bytes.Buffer
}

func (w *written) Read([]byte) (int, error)    { return 0, io.EOF }
func (w *written) Write(b []byte) (int, error) { return w.Buffer.Write(b) }
func (w *written) Close() error                { return nil }

func hello(name string) []byte {
	var conn written
	_ = tls.Client(&conn, &tls.Config{ServerName: name}).Handshake() // there is no server
	return conn.Bytes()
}

// newInspecting has a chain for a name, and the default one.
func newInspecting(t *testing.T) *workbench {
	return newWorkbenchOf(t, func(ln *config.Listener) {
		ln.ListenerFilters = []config.ListenerFilter{config.FilterTLS}
		ln.ListenerFiltersTimeout = 0
		named := *ln.DefaultFilterChain
		named.Name, named.Match.ServerNames = "named", []string{"a.example"}
		ln.FilterChains = []config.FilterChain{named}
	})
}

// behindTheLoop runs do on the loop, with the one connection that is being
// inspected: the loop learns of nothing that happens meanwhile.
func (w *workbench) behindTheLoop(do func(c *Connection)) {
	w.t.Helper()
	w.loop.Do(func() {
		if c := w.worker.live; c == nil || c.next != c || c.state != inspecting {
			w.t.Error("there is not just one connection in inspection")
		} else {
			do(c)
		}
	})
}

// arrived waits until a look at a socket shows what it should.
func (w *workbench) arrived(c *Connection, holds func(n int, errno sock.Errno) bool) {
	buffer := make([]byte, 64<<10)
	w.eventually("it has arrived", func() bool { return holds(sock.Peek(c.fds[relay.Downstream], buffer)) })
}

// failed waits until a socket has an error, and leaves it there.
func (w *workbench) failed(c *Connection) {
	watcher, err := sock.NewEpoll(1)
	must(w.t, err)
	defer watcher.Close()
	watcher.Add(c.fds[relay.Downstream], sock.PeerShut, 0)
	w.eventually("it has failed", func() bool {
		if watcher.Poll(0) == 0 {
			return false
		}
		_, events := watcher.Event(0)
		return events&sock.Failed != 0
	})
}

// What came in time is looked at even if the timer is heard of first.
func TestTimeoutLooksOnceMore(t *testing.T) {
	w := newInspecting(t)
	first := hello("a.example")
	client := w.connect(w.chains)
	w.behindTheLoop(func(c *Connection) {
		if _, err := client.Write(first); err != nil {
			t.Error(err)
		}
		w.arrived(c, func(n int, _ sock.Errno) bool { return n == len(first) })
		c.OnTimer()
		if c.chain == nil || c.chain.Name != "named" || c.inspection.Facts.ServerName != "a.example" {
			t.Errorf("the connection takes chain %v, with %+v", c.chain, c.inspection.Facts)
		}
	})
	answer := make([]byte, len(first))
	if _, err := io.ReadFull(client, answer); err != nil || !bytes.Equal(answer, first) {
		t.Errorf("the echo: %v", err)
	}
}

// A reset that the look itself comes upon is told as one, with its errno.
func TestResetMetByTheLook(t *testing.T) {
	w := newInspecting(t)
	client := w.connect(w.chains)
	w.behindTheLoop(func(c *Connection) {
		if err := errors.Join(client.(*net.TCPConn).SetLinger(0), client.Close()); err != nil {
			t.Error(err)
		}
		w.failed(c)
		c.OnEvents(downstream, sock.Readable)
		if r := &w.worker.record; r.CloseReason != accesslog.Rst || r.Errno != "ECONNRESET" || r.ClosedBy != accesslog.ByDownstream {
			t.Errorf("ended by %s with %s, errno %q", r.ClosedBy, r.CloseReason, r.Errno)
		}
	})
	if w.live() != 0 {
		t.Error("the connection lives")
	}
}
