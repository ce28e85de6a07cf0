package sock

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSockaddrRoundTrip(t *testing.T) {
	type addrCase struct {
		in, out string
		family  int
	}
	cases := []addrCase{
		{"127.0.0.1:80", "127.0.0.1:80", unix.AF_INET},
		{"255.254.253.252:65535", "255.254.253.252:65535", unix.AF_INET},
		{"0.0.0.0:0", "0.0.0.0:0", unix.AF_INET},
		{"[::ffff:10.4.0.5]:258", "10.4.0.5:258", unix.AF_INET},
		{"[::1]:15006", "[::1]:15006", unix.AF_INET6},
		{"[::]:1", "[::]:1", unix.AF_INET6},
		{"[2001:db8::1:2]:443", "[2001:db8::1:2]:443", unix.AF_INET6},
		{"[fe80::1%2]:443", "[fe80::1%2]:443", unix.AF_INET6},
		{"[fe80::1%4294967295]:443", "[fe80::1%4294967295]:443", unix.AF_INET6},
		{"[fe80::1%no-number]:443", "[fe80::1]:443", unix.AF_INET6},
	}
	for _, c := range cases {
		t.Run(c.in, func(t *testing.T) {
			var s sockaddr
			if family := s.set(netip.MustParseAddrPort(c.in)); family != c.family {
				t.Errorf("family %d, want %d", family, c.family)
			}
			if got, want := s.addrPort(), netip.MustParseAddrPort(c.out); got != want {
				t.Errorf("came back as %v, want %v", got, want)
			}
		})
	}
}

// A sockaddr that held IPv6 must not leave parts of it in a later IPv4 one.
func TestSockaddrIsReused(t *testing.T) {
	var s sockaddr
	s.set(netip.MustParseAddrPort("[2001:db8::1]:443"))
	s.set(netip.MustParseAddrPort("10.0.0.1:80"))
	if got, want := s.addrPort(), netip.MustParseAddrPort("10.0.0.1:80"); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// IPv4 clients of a dual-stack socket come with mapped addresses; they count as
// IPv4 everywhere else.
func TestSockaddrUnmaps(t *testing.T) {
	mapped := sockaddr{raw: unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: netip.MustParseAddr("::ffff:10.4.0.5").As16()}}
	if got := mapped.addrPort().Addr(); got != netip.MustParseAddr("10.4.0.5") {
		t.Errorf("got %v", got)
	}
}

func TestAddressesOfConnection(t *testing.T) {
	dialled, accepted := pair(t)
	defer Close(dialled)
	defer Close(accepted)
	if got, want := LocalAddr(dialled), PeerAddr(accepted); got != want || !got.IsValid() {
		t.Errorf("one end says %v, the other %v", got, want)
	}
	if got, want := PeerAddr(dialled), LocalAddr(accepted); got != want || got.Addr() != loopback4 {
		t.Errorf("one end says %v, the other %v", got, want)
	}
}

func TestAddressOfNothing(t *testing.T) {
	listener, _ := mustListen(t, netip.AddrPortFrom(loopback4, 0), ListenOptions{})
	pipe, errno := NewPipe(4096)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer pipe.Close()
	for what, got := range map[string]netip.AddrPort{
		"peer of a listening socket": PeerAddr(listener),
		"local address of a pipe":    LocalAddr(pipe.ReadEnd),
		"local address of -1":        LocalAddr(-1),
	} {
		if got.IsValid() {
			t.Errorf("%s is %v, want none", what, got)
		}
	}
	if other := LocalAddr(unixSocket(t)); other != (netip.AddrPort{}) {
		t.Errorf("unix socket has the address %v", other)
	}
}

func unixSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(fd) })
	return fd
}
