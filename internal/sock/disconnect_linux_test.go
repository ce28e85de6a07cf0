package sock

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDisconnect resets a connection of which there is another descriptor.
func TestDisconnect(t *testing.T) {
	a, b := pair(t)
	defer CloseAll([]int{a, b})
	other, errno := Duplicate(a)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer Close(other)
	mustWrite(t, b, "hello")
	waitFor(t, a, unix.POLLIN)
	if n := Unread(a); n != 5 {
		t.Errorf("%d bytes are unread, want 5", n)
	}
	if errno := Disconnect(a); errno != 0 {
		t.Errorf("Disconnect: %v", errno)
	}
	waitFor(t, b, unix.POLLHUP)
	if _, errno := Read(b, make([]byte, 1)); errno != ECONNRESET {
		t.Errorf("the peer reads %v, want ECONNRESET", errno)
	}
	if n := Unread(-1); n != 0 {
		t.Errorf("%d bytes are unread in no socket", n)
	}
}

// TestDisconnectListener ends to listen for all who have the socket.
func TestDisconnectListener(t *testing.T) {
	fd, address := mustListen(t, netip.AddrPortFrom(loopback4, 0), ListenOptions{ReusePort: true})
	if errno := Disconnect(fd); errno != 0 {
		t.Fatal(errno)
	}
	if err := Probe(address); err != nil {
		t.Errorf("the address is not free: %v", err)
	}
	next, _ := mustListen(t, address, ListenOptions{ReusePort: true})
	client := mustDial(t, address, DialOptions{})
	defer Close(client)
	accepted, _ := mustAccept(t, next)
	Close(accepted)
}
