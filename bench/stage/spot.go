package stage

import (
	"net"
	"net/netip"
	"os/exec"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// spot is where one program runs, and as whom.
type spot struct {
	host *testnet.Host // nil: where this program runs itself
}

// command prepares a program with as many descriptors as it can have: the Go
// runtime has raised this program's own limit and gives its children what it
// was before. The process id is the program's own.
func (s spot) command(name string, args ...string) *exec.Cmd {
	script := `ulimit -S -n "$(ulimit -H -n)" && exec "$@"`
	line := append([]string{"-c", script, "sh", name}, args...)
	if s.host == nil {
		return exec.Command("/bin/sh", line...)
	}
	return s.host.Command("/bin/sh", line...)
}

// dial connects from the spot within a timeout. The connection is the caller's
// to close.
func (s spot) dial(cast *cast, addr netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: timeout}
	if s.host == nil {
		// Not the address that a proxy here dials from: the kernel may give both the same
		// port, and then nobody can tell one from the other.
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
		return dialer.Dial("tcp", addr.String())
	}
	var conn net.Conn
	var err error
	failed := cast.do(func() { conn, err = s.host.DialFrom(dialer, "tcp", addr.String()) })
	if err == nil {
		err = failed
	}
	return conn, err
}

func loopback() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }
