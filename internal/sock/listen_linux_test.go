package sock

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestListenDialAccept(t *testing.T) {
	for _, ip := range []netip.Addr{loopback4, loopback6} {
		t.Run(ip.String(), func(t *testing.T) {
			listener, addr := mustListen(t, netip.AddrPortFrom(ip, 0), ListenOptions{ReusePort: true})
			if _, _, errno := Accept(listener); errno != EAGAIN {
				t.Fatalf("Accept with nobody there: %v, want EAGAIN", errno)
			}
			dialled := mustDial(t, addr, DialOptions{})
			defer Close(dialled)
			accepted, peer := mustAccept(t, listener)
			defer Close(accepted)
			if peer != LocalAddr(dialled) {
				t.Errorf("Accept says peer %v, it is %v", peer, LocalAddr(dialled))
			}
			for name, fd := range map[string]int{"listening": listener, "dialled": dialled, "accepted": accepted} {
				checkFlags(t, name, fd)
			}
			mustWrite(t, dialled, "hello")
			waitFor(t, accepted, unix.POLLIN)
			buf := make([]byte, 16)
			if n, errno := Read(accepted, buf); string(buf[:n]) != "hello" || errno != 0 {
				t.Errorf("read %q, %v", buf[:n], errno)
			}
			if _, errno := Read(accepted, buf); errno != EAGAIN {
				t.Errorf("second read: %v, want EAGAIN", errno)
			}
		})
	}
}

func checkFlags(t *testing.T, name string, fd int) {
	t.Helper()
	status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || status&unix.O_NONBLOCK == 0 {
		t.Errorf("%s socket blocks: flags %#x, %v", name, status, err)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("%s socket outlives exec: flags %#x, %v", name, flags, err)
	}
}

func TestAcceptedInherits(t *testing.T) {
	type optionCase struct {
		name          string
		level, option int
		want          int
	}
	keepalive := Keepalive{Idle: 29500 * time.Millisecond, Interval: 7 * time.Second, Probes: 4}
	cases := []optionCase{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30}, // rounded up
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 7},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
	}
	for _, ip := range []netip.Addr{loopback4, loopback6} {
		listener, addr := mustListen(t, netip.AddrPortFrom(ip, 0), ListenOptions{Keepalive: keepalive})
		dialled := mustDial(t, addr, DialOptions{Keepalive: keepalive, UserTimeout: 30 * time.Second})
		defer Close(dialled)
		accepted, _ := mustAccept(t, listener)
		defer Close(accepted)
		for _, c := range cases {
			for name, fd := range map[string]int{"listening": listener, "accepted": accepted, "dialled": dialled} {
				if got := mustGet(t, fd, c.level, c.option); got != c.want {
					t.Errorf("%v: %s of the %s socket is %d, want %d", ip, c.name, name, got, c.want)
				}
			}
		}
	}
}

func TestSetKeepalive(t *testing.T) {
	listener, _ := mustListen(t, netip.AddrPortFrom(loopback4, 0), ListenOptions{Keepalive: Keepalive{Idle: time.Minute, Interval: time.Second, Probes: 2}})
	for _, step := range []struct {
		k                          Keepalive
		on, idle, interval, probes int
	}{
		{Keepalive{Idle: 30 * time.Second, Interval: 7 * time.Second, Probes: 4}, 1, 30, 7, 4},
		{Keepalive{}, 0, 30, 7, 4},
		{Keepalive{Idle: 10 * time.Second, Interval: 5 * time.Second, Probes: 3}, 1, 10, 5, 3},
	} {
		SetKeepalive(listener, step.k)
		got := []int{
			mustGet(t, listener, unix.SOL_SOCKET, unix.SO_KEEPALIVE), mustGet(t, listener, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
			mustGet(t, listener, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL), mustGet(t, listener, unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
		}
		if want := []int{step.on, step.idle, step.interval, step.probes}; !slices.Equal(got, want) {
			t.Errorf("%+v: %v, want %v", step.k, got, want)
		}
	}
}

func TestKeepaliveStaysOff(t *testing.T) {
	dialled, accepted := pair(t)
	defer Close(dialled)
	defer Close(accepted)
	for _, fd := range []int{dialled, accepted} {
		if mustGet(t, fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 0 {
			t.Error("keepalive is on without having been asked for")
		}
		if mustGet(t, fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) != 0 {
			t.Error("TCP_USER_TIMEOUT is set without having been asked for")
		}
	}
}

// The wildcards of both families have the same port at the same time, and an
// IPv4 client comes by the IPv4 socket.
func TestWildcardsSideBySide(t *testing.T) {
	v4, addr := mustListen(t, netip.AddrPortFrom(netip.IPv4Unspecified(), 0), ListenOptions{})
	v6, _ := mustListen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port()), ListenOptions{})
	if mustGet(t, v6, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY) != 1 {
		t.Error("IPV6_V6ONLY is off")
	}
	for ip, listener := range map[netip.Addr]int{loopback4: v4, loopback6: v6} {
		dialled := mustDial(t, netip.AddrPortFrom(ip, addr.Port()), DialOptions{})
		accepted, peer := mustAccept(t, listener)
		if peer.Addr() != ip {
			t.Errorf("peer %v, want %v", peer, ip)
		}
		Close(dialled)
		Close(accepted)
	}
}

func TestReusePort(t *testing.T) {
	_, addr := mustListen(t, netip.AddrPortFrom(loopback4, 0), ListenOptions{ReusePort: true})
	mustListen(t, addr, ListenOptions{ReusePort: true})
	before := open(t)
	_, err := Listen(addr, ListenOptions{})
	if !errors.Is(err, EADDRINUSE) {
		t.Fatalf("third socket without SO_REUSEPORT: %v, want EADDRINUSE", err)
	}
	var failed *Error
	if !errors.As(err, &failed) || failed.Op != "bind" || failed.Addr != addr {
		t.Errorf("error %#v does not name step and address", err)
	}
	if !strings.Contains(err.Error(), "bind "+addr.String()) {
		t.Errorf("message %q does not name step and address", err)
	}
	if now := open(t); now != before {
		t.Errorf("failed Listen leaks descriptors: %d before, %d after", before, now)
	}
}

func TestBacklog(t *testing.T) {
	fd, _ := mustListen(t, netip.AddrPortFrom(loopback4, 0), ListenOptions{Backlog: 7})
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	if info.Sacked != 7 { // of a listening socket: its longest queue, see tcp(7)
		t.Errorf("backlog %d, want 7", info.Sacked)
	}
}

// A client that has gone before accept must not make accept fail for the others.
func TestAcceptAfterReset(t *testing.T) {
	listener, addr := mustListen(t, netip.AddrPortFrom(loopback4, 0), ListenOptions{})
	gone := mustDial(t, addr, DialOptions{})
	waitFor(t, gone, unix.POLLOUT)
	Reset(gone)
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	eventually(t, "the living client", func() bool {
		fd, peer, errno := Accept(listener)
		switch errno {
		case 0:
			defer Close(fd)
			return peer == want
		case EAGAIN, ECONNABORTED:
			return false
		}
		t.Fatalf("Accept: %v", errno)
		return false
	})
}
