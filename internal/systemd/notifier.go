package systemd

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// sendTimeout bounds a notification while the service manager's queue is full.
const sendTimeout = 5 * time.Second

// Notifier tells the service manager how the daemon is (sd_notify(3)). A nil
// Notifier tells nobody. Several goroutines may use one.
type Notifier struct {
	conn    *net.UnixConn
	manager *net.UnixAddr
}

// New makes the Notifier for the address in NOTIFY_SOCKET: a path, or a name in the
// abstract namespace that begins with "@". For "" the Notifier is nil. Whether
// somebody listens there is found out by the first notification.
func New(address string) (*Notifier, error) {
	switch {
	case address == "":
		return nil, nil
	case address[0] != '/' && address[0] != '@':
		return nil, fmt.Errorf("NOTIFY_SOCKET=%s: only paths and names that begin with @ can be used", address)
	}
	// Not connected, as package net sends descriptors by no connected socket of
	// this kind. A bind without a name gets one from the kernel (unix(7)).
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("making a socket for NOTIFY_SOCKET=%s: %w", address, err)
	}
	return &Notifier{conn, &net.UnixAddr{Name: address, Net: "unixgram"}}, nil
}

// Close closes the connection.
func (n *Notifier) Close() error {
	if n == nil {
		return nil
	}
	return n.conn.Close()
}

// Ready says that the daemon serves, after a start or a reload.
func (n *Notifier) Ready(status string) error { return n.send(nil, "READY=1", "STATUS="+status) }

// Reloading says that a reload has begun; Ready says that it is over. A service of
// Type=notify-reload must send the time of that (MONOTONIC_USEC in sd_notify(3)).
func (n *Notifier) Reloading(status string) error {
	now, err := sock.MonotonicMicroseconds()
	if err != nil {
		return err
	}
	return n.send(nil, "RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now), "STATUS="+status)
}

// Stopping says that the daemon has begun to end.
func (n *Notifier) Stopping(status string) error { return n.send(nil, "STOPPING=1", "STATUS="+status) }

// Status is one line for people.
func (n *Notifier) Status(status string) error { return n.send(nil, "STATUS="+status) }

// Watchdog says that the daemon is alive; see WatchdogInterval.
func (n *Notifier) Watchdog() error { return n.send(nil, "WATCHDOG=1") }

// MainProcess names the process that goes on in this one's place. The unit needs
// NotifyAccess=all, or exec, for what that process sends itself before.
func (n *Notifier) MainProcess(pid int) error { return n.send(nil, fmt.Sprintf("MAINPID=%d", pid)) }

// Store has the service manager keep duplicates of descriptors under a name until
// Remove, over crashes and restarts; the next process gets them by Descriptors. The
// unit needs FileDescriptorStoreMax=; what is more is dropped by systemd without an
// answer. FDPOLL=0: systemd would otherwise drop a socket by itself when its peer
// is gone.
func (n *Notifier) Store(name string, fds []int) error {
	if err := checkName(name); err != nil {
		return err
	}
	return n.send(fds, "FDSTORE=1", "FDNAME="+name, "FDPOLL=0")
}

// Remove has the service manager close all that it keeps under the name.
func (n *Notifier) Remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return n.send(nil, "FDSTOREREMOVE=1", "FDNAME="+name)
}

// checkName holds to what FDNAME= in sd_notify(3) allows; systemd would drop the
// descriptors without an answer.
func checkName(name string) error {
	wrong := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, wrong) {
		return fmt.Errorf("%q cannot name descriptors: 1 to 255 printable ASCII characters other than blanks and colons", name)
	}
	return nil
}

// send sends one datagram.
func (n *Notifier) send(fds []int, assignments ...string) error {
	if n == nil {
		return nil
	}
	if len(fds) > sock.MaxRights {
		return fmt.Errorf("%d descriptors in one notification; %d are the most", len(fds), sock.MaxRights)
	}
	for i, a := range assignments {
		assignments[i] = strings.ReplaceAll(a, "\n", " ") // a line end would begin another assignment
	}
	err := n.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if err == nil {
		_, _, err = n.conn.WriteMsgUnix([]byte(strings.Join(assignments, "\n")), sock.Rights(fds), n.manager)
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		err = fmt.Errorf("telling the service manager %s: %w", assignments[0], err)
	}
	return err
}
