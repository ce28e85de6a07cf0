package sock

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDialNarrow(t *testing.T) {
	listener, addr := mustListen(t, netip.AddrPortFrom(loopback4, 0), ListenOptions{})
	fd, err := DialNarrow(addr, &DialOptions{}, 8192)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fd)
	accepted, _ := mustAccept(t, listener)
	defer Close(accepted)
	if got := mustGet(t, fd, unix.SOL_SOCKET, unix.SO_RCVBUF); got != 2*8192 { // the kernel doubles it, socket(7)
		t.Errorf("SO_RCVBUF is %d, want %d", got, 2*8192)
	}
}
