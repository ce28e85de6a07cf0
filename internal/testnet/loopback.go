package testnet

import (
	"net"
	"net/netip"
	"os"
	"sync"
)

// Loopback is a loopback address of this process alone. A port of it that nobody
// listens on stays free: the kernel gives other tests 127.0.0.1 to listen on and to
// dial from, and with it any port.
func Loopback() netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(1 + pid>>16&127), byte(pid >> 8), byte(pid)})
}

// given are the ports that ClosedPort has given. The kernel has some 7,000 for who
// listens, and gives the same one again soon enough.
var given sync.Map

// ClosedPort is an address of Loopback where nobody listens, and which nobody else
// was given.
func ClosedPort(tb TB) netip.AddrPort {
	tb.Helper()
	for {
		l, err := net.Listen("tcp", netip.AddrPortFrom(Loopback(), 0).String())
		if err != nil {
			tb.Fatalf("find a port where nobody listens: %v", err)
		}
		quitter{l.(*net.TCPListener)}.Close()
		address := l.Addr().(*net.TCPAddr).AddrPort()
		if _, again := given.LoadOrStore(address, true); !again {
			return address
		}
	}
}
