package daemon

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/systemd"
)

// manager is a service manager that is told how the daemon is.
func manager(t *testing.T) (*systemd.Notifier, *net.UnixConn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	notify, err := systemd.New(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { notify.Close() })
	return notify, conn
}

// hears waits for a notification with a word, past others.
func hears(t *testing.T, conn *net.UnixConn, word string) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatalf("%s is never told: %v", word, err)
		}
		if strings.Contains(string(buffer[:n]), word) {
			return
		}
	}
}

// The service manager hears of each step, and that the loops are alive.
func TestServiceManager(t *testing.T) {
	notify, conn := manager(t)
	r := &reloadable{trial: newTrial(t)}
	r.change(nil)
	r.load = func() (*Loaded, error) { return &Loaded{Config: r.next, Dump: func() any { return nil }}, nil }
	r.options = func(o *Options) { o.Notify, o.Watchdog = notify, 10*time.Millisecond }
	r.start()
	hears(t, conn, "READY=1")
	hears(t, conn, "WATCHDOG=1")
	r.signals <- syscall.SIGHUP
	hears(t, conn, "RELOADING=1")
	hears(t, conn, "READY=1")
	r.signals <- syscall.SIGTERM
	hears(t, conn, "STOPPING=1")
	r.waitEnd()
}

// A loop that hangs is not alive.
func TestWatchdogNoticesAStuckLoop(t *testing.T) {
	notify, conn := manager(t)
	tr := newTrial(t)
	tr.options = func(o *Options) { o.Notify, o.Watchdog = notify, 10*time.Millisecond }
	tr.start()
	hears(t, conn, "WATCHDOG=1")
	stuck, proceed := make(chan struct{}), make(chan struct{})
	tr.daemon.loops[1].Post(func() { close(stuck); <-proceed })
	<-stuck
	// What was told before may wait in the socket: hundreds, see unix(7).
	const most = 1000
	buffer := make([]byte, 4096)
	for told := 0; ; told++ {
		if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(buffer); err != nil {
			break
		}
		if told > most {
			t.Fatal("a stuck loop counts as alive")
		}
	}
	close(proceed)
	hears(t, conn, "WATCHDOG=1")
	tr.signals <- syscall.SIGTERM
	tr.waitEnd()
}
