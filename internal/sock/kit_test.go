package sock

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
)

// waitFor waits until fd has one of the poll(2) events, and fails the test when
// that takes longer than anything on loopback may.
func waitFor(t testing.TB, fd int, events int16) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(fds, 1000)
		if n == 1 {
			return
		}
		if err != nil && err != unix.EINTR || time.Now().After(deadline) {
			t.Fatalf("descriptor %d had none of the events %#x in time: %v", fd, events, err)
		}
	}
}

// eventually waits until condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
		unix.Poll(nil, 1)
	}
}

func mustListen(t testing.TB, addr netip.AddrPort, o ListenOptions) (int, netip.AddrPort) {
	t.Helper()
	fd, err := Listen(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(fd) })
	return fd, LocalAddr(fd)
}

func mustDial(t testing.TB, remote netip.AddrPort, o DialOptions) int {
	t.Helper()
	fd, err := Dial(remote, &o)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func mustAccept(t testing.TB, listener int) (int, netip.AddrPort) {
	t.Helper()
	waitFor(t, listener, unix.POLLIN)
	fd, peer, errno := Accept(listener)
	if errno != 0 {
		t.Fatalf("Accept: %v", errno)
	}
	return fd, peer
}

// pair makes a connection on loopback; the caller closes both ends.
func pair(t testing.TB) (dialled, accepted int) {
	t.Helper()
	listener, addr := mustListen(t, netip.AddrPortFrom(loopback4, 0), ListenOptions{})
	dialled = mustDial(t, addr, DialOptions{})
	accepted, _ = mustAccept(t, listener)
	waitFor(t, dialled, unix.POLLOUT)
	return dialled, accepted
}

func mustGet(t testing.TB, fd, level, option int) int {
	t.Helper()
	v, errno := getInt(fd, level, option)
	if errno != 0 {
		t.Fatalf("getsockopt %d %d: %v", level, option, errno)
	}
	return v
}

func mustWrite(t testing.TB, fd int, bytes string) {
	t.Helper()
	if n, errno := Write(fd, []byte(bytes)); n != len(bytes) || errno != 0 {
		t.Fatalf("Write = %d, %v; want %d", n, errno, len(bytes))
	}
}

// open is how many descriptors this process has.
func open(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// freePort is a port that nobody listens on.
func freePort(t testing.TB) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}
