package handover

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// mode lets only the owner, and root, connect.
const mode = 0o600

// listenAt listens at a path, or at a name in the abstract namespace that begins
// with "@". A path belongs to whoever listened there last: it replaces the socket
// of a process that is gone, or that is being upgraded, in one step.
func listenAt(path string) (*net.UnixListener, error) {
	if path == "" {
		return nil, fmt.Errorf("listening for another process: the socket has no path")
	}
	if path[0] == '@' {
		return listenUnix(path)
	}
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("removing what was left of an attempt to listen at %s: %w", path, err)
	}
	l, err := listenUnix(temporary)
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(temporary, mode)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		l.Close()
		os.Remove(temporary)
		return nil, fmt.Errorf("listening at %s: %w", path, err)
	}
	return l, nil
}

func listenUnix(path string) (*net.UnixListener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listening for another process: %w", err)
	}
	return l, nil
}

// identity is the file at a path, to see later whether it is still the same.
func identity(path string) os.FileInfo {
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	return info
}

// removeIfSame removes a socket that nobody has replaced.
func removeIfSame(path string, own os.FileInfo) {
	if there := identity(path); own != nil && there != nil && os.SameFile(own, there) {
		os.Remove(path)
	}
}

// dialUnix connects to another process of the same user, or of root.
func dialUnix(ctx context.Context, path string) (*net.UnixConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connecting to the other process: %w", err)
	}
	c := conn.(*net.UnixConn)
	if _, err := checkPeer(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// checkPeer refuses peers of other users: who takes sockets can read all that
// goes through them, and who gives some can put bytes into them. It returns the
// peer's process number.
func checkPeer(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("asking who the other process is: %w", err)
	}
	var peer sock.Peer
	var failed error
	if err := raw.Control(func(fd uintptr) { peer, failed = sock.PeerOf(int(fd)) }); err != nil {
		return 0, fmt.Errorf("asking who the other process is: %w", err)
	}
	if failed != nil {
		return 0, fmt.Errorf("asking who the other process is: %w", failed)
	}
	return peer.Process, allowed(peer.User, os.Getuid())
}

func allowed(uid, own int) error {
	if uid != own && uid != 0 {
		return fmt.Errorf("the other process is of user %d; only those of user %d and of root are spoken to", uid, own)
	}
	return nil
}
