package rules

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// captureListener stands in the proxy's place on a capture port and answers
// each connection with the original destination that it sees.
type captureListener struct {
	net.Listener
	port        uint16
	family      Family
	transparent bool
	served      sync.WaitGroup
}

func listenCapture(f Family, port uint16, transparent bool) (*captureListener, error) {
	addr := netip.AddrPortFrom(netip.MustParseAddr(f.anyAddress()), port)
	fd, err := sock.Listen(addr, sock.ListenOptions{Transparent: transparent})
	if errors.Is(err, sock.EADDRINUSE) {
		return nil, fmt.Errorf("%w: the check needs the capture port for itself: run it before the proxy starts", err)
	}
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), addr.String())
	inner, err := net.FileListener(file) // has a descriptor of its own
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	l := &captureListener{Listener: inner, port: port, family: f, transparent: transparent}
	l.served.Add(1)
	go l.serve()
	return l, nil
}

func (l *captureListener) serve() {
	defer l.served.Done()
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed
		}
		_, _ = io.WriteString(conn, arrival(l.port, l.originalDst(conn.(*net.TCPConn)))+"\n")
		_ = conn.Close()
	}
}

// close returns when the last answer is written.
func (l *captureListener) close() {
	_ = l.Close()
	l.served.Wait()
}

// originalDst is an address, or the reason why there is none.
func (l *captureListener) originalDst(conn *net.TCPConn) string {
	if l.transparent {
		return conn.LocalAddr().String()
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err.Error()
	}
	var dst string
	err = raw.Control(func(fd uintptr) {
		read := sock.OriginalDst4
		if l.family == IPv6 {
			read = sock.OriginalDst6
		}
		addr, errno := read(int(fd))
		dst = addr.String()
		if errno != 0 {
			dst = fmt.Sprintf("unknown (SO_ORIGINAL_DST: %v)", errno)
		}
	})
	if err != nil {
		return err.Error()
	}
	return dst
}
