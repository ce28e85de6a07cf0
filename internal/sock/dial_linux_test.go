package sock

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestDialFromSource(t *testing.T) {
	type sourceCase struct {
		name         string
		listen       netip.Addr
		source       string
		want         string
		chosenByConn bool
	}
	cases := []sourceCase{
		{"inbound passthrough", loopback4, "127.0.0.6:0", "127.0.0.6", true},
		{"wildcard", loopback4, "0.0.0.0:0", "127.0.0.1", true},
		{"IPv6", loopback6, "[::1]:0", "::1", true},
		{"IPv6 wildcard", loopback6, "[::]:0", "::1", true},
		{"with a port", loopback4, fmt.Sprintf("127.0.0.7:%d", freePort(t)), "127.0.0.7", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			listener, addr := mustListen(t, netip.AddrPortFrom(c.listen, 0), ListenOptions{})
			source := netip.MustParseAddrPort(c.source)
			dialled := mustDial(t, addr, DialOptions{Source: source})
			defer Close(dialled)
			accepted, peer := mustAccept(t, listener)
			defer Close(accepted)
			if peer.Addr() != netip.MustParseAddr(c.want) {
				t.Errorf("peer sees %v, want %v", peer, c.want)
			}
			if source.Port() != 0 && peer.Port() != source.Port() {
				t.Errorf("peer sees port %d, want %d", peer.Port(), source.Port())
			}
			noPort := mustGet(t, dialled, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT)
			if (noPort == 1) != c.chosenByConn {
				t.Errorf("IP_BIND_ADDRESS_NO_PORT is %d", noPort)
			}
		})
	}
}

// With ten ephemeral ports in all, one source address reaches each of three
// destinations ten times: what IP_BIND_ADDRESS_NO_PORT is for.
func TestDialHasAllPortsForEachDestination(t *testing.T) {
	const ports, destinations = 10, 3
	inNamespace(t, func() {
		setEphemeralPorts(t, 40000, 40000+ports-1)
		for d := range destinations {
			listener, addr := mustListen(t, netip.AddrPortFrom(loopback4, uint16(8000+d)), ListenOptions{})
			for i := range ports {
				fd, err := Dial(addr, &DialOptions{Source: netip.MustParseAddrPort("127.0.0.6:0")})
				if err != nil {
					t.Errorf("connection %d to destination %d: %v", i, d, err)
					return
				}
				defer Close(fd)
				accepted, _ := mustAccept(t, listener)
				defer Close(accepted)
			}
			_, err := Dial(addr, &DialOptions{Source: netip.MustParseAddrPort("127.0.0.6:0")})
			if !errors.Is(err, EADDRNOTAVAIL) {
				t.Errorf("one more than there are ports: %v, want EADDRNOTAVAIL", err)
			}
		}
	})
}

// inNamespace runs fn on a thread of its own in a new network namespace that
// has a loopback device.
func inNamespace(t *testing.T, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("new network namespace: %v (run the tests as root)", err)
			return
		}
		if err := loopbackUp(); err != nil {
			t.Error(err)
			return
		}
		fn()
	}()
	<-done
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(request)))
	if errno != 0 {
		return fmt.Errorf("setting lo up: %w", errno)
	}
	return nil
}

func setEphemeralPorts(t *testing.T, first, last int) {
	t.Helper()
	err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", fmt.Appendf(nil, "%d %d", first, last), 0)
	if err != nil {
		t.Error(err)
	}
}

func TestDialTransparent(t *testing.T) {
	listener, addr := mustListen(t, netip.AddrPortFrom(loopback4, 0), ListenOptions{Transparent: true})
	if mustGet(t, listener, unix.IPPROTO_IP, unix.IP_TRANSPARENT) != 1 {
		t.Error("the listening socket is not transparent")
	}
	dialled := mustDial(t, addr, DialOptions{Source: netip.MustParseAddrPort("192.0.2.77:0"), Transparent: true})
	defer Close(dialled)
	if got := LocalAddr(dialled).Addr(); got != netip.MustParseAddr("192.0.2.77") {
		t.Errorf("bound to %v", got)
	}
	_, err := Dial(addr, &DialOptions{Source: netip.MustParseAddrPort("203.0.113.77:0")})
	if !errors.Is(err, EADDRNOTAVAIL) {
		t.Errorf("not this host's address without Transparent: %v, want EADDRNOTAVAIL", err)
	}
	listener6, _ := mustListen(t, netip.AddrPortFrom(loopback6, 0), ListenOptions{Transparent: true})
	if mustGet(t, listener6, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT) != 1 {
		t.Error("the IPv6 listening socket is not transparent")
	}
}

func TestDialFailures(t *testing.T) {
	before := open(t)
	_, err := Dial(netip.MustParseAddrPort("127.0.0.1:1"), &DialOptions{Source: netip.MustParseAddrPort("[::1]:0")})
	var failed *Error
	if !errors.As(err, &failed) || failed.Op != "bind" {
		t.Errorf("source of the other family: %v, want a failed bind", err)
	}
	_, err = Dial(netip.MustParseAddrPort("[fe80::1]:80"), &DialOptions{})
	if !errors.As(err, &failed) || failed.Op != "connect" || !errors.Is(err, EINVAL) {
		t.Errorf("link-local address without zone: %v, want connect: EINVAL", err)
	}
	_, err = Dial(netip.MustParseAddrPort("127.0.0.1:1"), &DialOptions{Descriptors: 1})
	if !errors.As(err, &failed) || failed.Op != "socket for" || !errors.Is(err, EMFILE) {
		t.Errorf("beyond the descriptors of connections: %v, want EMFILE", err)
	}
	if now := open(t); now != before {
		t.Errorf("failed Dial leaks descriptors: %d before, %d after", before, now)
	}
}

func TestTakeErrorAfterRefusal(t *testing.T) {
	remote := netip.AddrPortFrom(loopback4, freePort(t))
	fd, err := Dial(remote, &DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fd)
	waitFor(t, fd, unix.POLLOUT)
	if errno := TakeError(fd); errno != ECONNREFUSED {
		t.Errorf("TakeError = %v, want ECONNREFUSED", errno)
	}
	if errno := TakeError(fd); errno != 0 {
		t.Errorf("second TakeError = %v, want none", errno)
	}
}

func TestTakeErrorAfterSuccess(t *testing.T) {
	dialled, accepted := pair(t)
	defer Close(dialled)
	defer Close(accepted)
	if errno := TakeError(dialled); errno != 0 {
		t.Errorf("TakeError = %v", errno)
	}
	if errno := TakeError(-1); errno != unix.EBADF {
		t.Errorf("TakeError of no descriptor = %v, want EBADF", errno)
	}
}

func TestName(t *testing.T) {
	for errno, want := range map[Errno]string{0: "", ECONNRESET: "ECONNRESET", EAGAIN: "EAGAIN", 9999: "errno 9999"} {
		if got := Name(errno); got != want {
			t.Errorf("Name(%d) = %q, want %q", errno, got, want)
		}
	}
}

// A connection whose last acknowledgement is held back and which is then reset
// was never there for the listener; one that goes on is there like any other.
func TestDialDelaysAck(t *testing.T) {
	listener, addr := mustListen(t, netip.AddrPortFrom(loopback4, 0), ListenOptions{})
	knock := mustDial(t, addr, DialOptions{DelayAck: true})
	if waitFor(t, knock, unix.POLLOUT); !PeerAddr(knock).IsValid() {
		t.Error("the connection is not made")
	}
	Reset(knock)
	fd := mustDial(t, addr, DialOptions{DelayAck: true})
	defer Close(fd)
	mustWrite(t, fd, "x")
	accepted, peer := mustAccept(t, listener)
	defer Close(accepted)
	if want := LocalAddr(fd); peer != want {
		t.Errorf("the listener was given a connection of %v, want only that of %v", peer, want)
	}
}
