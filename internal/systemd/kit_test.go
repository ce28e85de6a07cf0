package systemd

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
	"go.uber.org/goleak"
)

// TestMain lets the test binary be a daemon that systemd has started.
func TestMain(m *testing.M) {
	if os.Getenv("SLUICE_TEST_ACTIVATED") != "" {
		os.Exit(activated())
	}
	goleak.VerifyTestMain(m)
}

// manager is a fake of the service manager's end of NOTIFY_SOCKET.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T, address string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t, conn}
}

func socketPath(t *testing.T) string { return filepath.Join(t.TempDir(), "notify") }

// next is the next notification, and the descriptors in it, which the caller closes.
func (m *manager) next() (string, []int) {
	m.t.Helper()
	m.conn.SetReadDeadline(time.Now().Add(time.Minute))
	text, control := make([]byte, 4096), make([]byte, sock.RightsSpace(sock.MaxRights))
	n, c, _, _, err := m.conn.ReadMsgUnix(text, control)
	if err != nil {
		m.t.Fatal(err)
	}
	fds, err := sock.ParseRights(control[:c])
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text[:n]), fds
}

func mustNew(t *testing.T, address string) *Notifier {
	t.Helper()
	n, err := New(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}
