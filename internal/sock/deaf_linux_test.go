package sock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

func TestMain(m *testing.M) { testnet.Main(m) }

// TestDeafSocket shows what a listening socket that is about to be closed relies on:
// one that is deaf ends the handshakes that have begun, and others are refused. The packet that ends a handshake is held back, as a long way would.
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
			if Deaf(fd) {
				t.Error("a socket is deaf from the start")
			}
			if errno := Deafen(fd); errno != 0 || !Deaf(fd) {
				t.Fatal(errno)
			}
			if _, err := client.Dial("tcp", address.String()); !errors.Is(err, ECONNREFUSED) {
				t.Errorf("dialling a deaf socket: %v, want refused", err)
			}
			if _, err := begun.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			conn := waitAccept(t, fd)
			if _, _, errno := Accept(fd); errno != EAGAIN {
				t.Errorf("a second connection: %v", errno)
			}

			if device := mustGet(t, conn, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX); device != 0 {
				t.Errorf("what is accepted is bound to device %d", device)
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
