package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// Errors of listening on a unix socket.
var (
	ErrSocketInUse = errors.New("another process listens there; stop it or choose another path")
	ErrNotSocket   = errors.New("there is a file of another kind; remove it or choose another path")
)

// unixPath is the path of unix:///path.
func unixPath(address string) (string, bool) { return strings.CutPrefix(address, "unix://") }

func listen(address string) (net.Listener, error) {
	if path, isUnix := unixPath(address); isUnix {
		return listenUnix(path)
	}
	return net.Listen("tcp", address)
}

// listenUnix makes a socket that only this user can connect to. It is made in
// a directory that nobody else can enter and moved into place with its mode
// set: at no moment can another user connect. A socket that a killed process
// left behind is replaced.
func listenUnix(path string) (net.Listener, error) {
	if err := checkStale(path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, fmt.Errorf("make a private directory beside the socket: %w", err)
	}
	defer os.RemoveAll(private)
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(private, "s"), Net: "unix"})
	if err != nil {
		return nil, err
	}
	socket.SetUnlinkOnClose(false) // Shutdown removes it under its real name
	if err := errors.Join(os.Chmod(filepath.Join(private, "s"), 0o600), os.Rename(filepath.Join(private, "s"), path)); err != nil {
		socket.Close()
		return nil, err
	}
	return socket, nil
}

// checkStale says whether path is free, or has a socket nobody listens on.
func checkStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return ErrNotSocket
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return ErrSocketInUse
	}
	if !errors.Is(err, sock.ECONNREFUSED) {
		return fmt.Errorf("find out whether the socket is in use: %w", err)
	}
	return nil
}

// advice says what to do about a failed listen, if that is known.
func advice(address string, err error) string {
	_, port, _ := net.SplitHostPort(address)
	switch {
	case errors.Is(err, sock.EADDRINUSE):
		return fmt.Sprintf("; find who holds it with: ss -ltnp 'sport = :%s'", port)
	case errors.Is(err, sock.EADDRNOTAVAIL):
		return "; this host has no such address, see: ip address"
	case errors.Is(err, sock.EACCES):
		return "; ports below 1024 need CAP_NET_BIND_SERVICE, paths need a directory this user may write to"
	}
	return ""
}

// limitedListener closes connections above a number at once. Making them wait
// would let idle ones lock everybody else out.
type limitedListener struct {
	net.Listener
	places chan struct{}
}

func limitConnections(l net.Listener, n int) net.Listener {
	return &limitedListener{Listener: l, places: make(chan struct{}, n)}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { <-l.places })}, nil
		default:
			conn.Close()
		}
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
