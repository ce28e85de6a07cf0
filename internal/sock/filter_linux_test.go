package sock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

func TestMain(m *testing.M) { testnet.Main(m) }

// TestDeafSocket shows what a listening socket that is about to be closed relies on:
// one that is deaf to new connections ends the handshakes that have begun, and is told
// of nothing else. The packet that ends a handshake is held back, as a long way would.
func TestDeafSocket(t *testing.T) {
	for _, addr := range []string{"10.4.0.5", "fd00:4::5"} {
		t.Run(addr, func(t *testing.T) {
			network := testnet.New(t)
			client, server := network.Host("client"), network.Host("server")
			network.Link(client, "10.4.0.9/24,fd00:4::9/64", server, "10.4.0.5/24,fd00:4::5/64")
			address := netip.AddrPortFrom(netip.MustParseAddr(addr), 7000)
			connect := func() net.Conn {
				conn, err := client.Dial("tcp", address.String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				return conn
			}
			program := "iptables"
			if address.Addr().Is6() {
				program = "ip6tables"
			}
			held := []string{"INPUT", "-p", "tcp", "--dport", "7000", "--tcp-flags", "SYN,ACK,FIN,RST", "ACK", "-j", "DROP"}
			var fd int
			server.Do(func() {
				var err error
				if fd, err = Listen(address, ListenOptions{}); err != nil {
					t.Error(err)
				}
			})
			defer Close(fd)

			server.Run(program, append([]string{"-A"}, held...)...)
			begun := connect() // the client has its answer
			server.Run(program, append([]string{"-D"}, held...)...)
			if errno := DropNew(fd); errno != 0 {
				t.Fatal(errno)
			}
			var late net.Error
			_, err := client.DialFrom(&net.Dialer{Timeout: 100 * time.Millisecond}, "tcp", address.String())
			if !errors.As(err, &late) || !late.Timeout() {
				t.Errorf("dialling a deaf socket: %v, want a timeout", err)
			}
			if _, err := begun.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			conn := waitAccept(t, fd)
			if _, _, errno := Accept(fd); errno != EAGAIN {
				t.Errorf("a second connection: %v", errno)
			}

			if errno := TakeNew(conn); errno != 0 {
				t.Errorf("what is accepted does not have the filter: %v", errno)
			}
			Close(conn)
			if errno := TakeNew(fd); errno != 0 {
				t.Error(errno)
			}
			connect()
			conn = waitAccept(t, fd)
			if errno := TakeNew(conn); errno != ENOENT {
				t.Errorf("after TakeNew what is accepted has a filter: %v", errno)
			}
			Close(conn)
		})
	}
}

func waitAccept(t *testing.T, fd int) (conn int) {
	t.Helper()
	testnet.Eventually(t, time.Minute, func() error {
		var errno Errno
		if conn, _, errno = Accept(fd); errno != 0 {
			return fmt.Errorf("accept: %w", errno)
		}
		return nil
	})
	return conn
}
