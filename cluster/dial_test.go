package cluster

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// patience bounds every wait; no test is faster or slower for it.
const patience = time.Minute

// finish waits until a dial is done and returns how it went.
func finish(t testing.TB, fd int) sock.Errno {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		n, err := unix.Poll(fds, 100)
		if err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		if n == 1 {
			return sock.TakeError(fd)
		}
	}
	t.Fatal("the dial does not end")
	return 0
}

// dialTo dials address as an original destination.
func dialTo(t testing.TB, c *Cluster, address string) (int, error) {
	t.Helper()
	var tried Tried
	ep, ok := pick(c, netip.MustParseAddrPort(address), &tried)
	if !ok {
		t.Fatalf("no endpoint for %s", address)
	}
	return c.Dial(ep, Origin{})
}

// connect dials, waits and closes the descriptor when the test ends.
func connect(t testing.TB, c *Cluster, address string) int {
	t.Helper()
	fd, err := dialTo(t, c, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close(fd) })
	if errno := finish(t, fd); errno != 0 {
		t.Fatalf("connect to %s: %v", address, errno)
	}
	return fd
}

func boundTo(source string) func(*config.Cluster) {
	return func(cfg *config.Cluster) {
		cfg.Type = config.ClusterOriginalDst
		if source != "" {
			cfg.UpstreamBindAddress = netip.MustParseAddr(source)
		}
	}
}

// accept is the peer address of the next connection.
func accept(t testing.TB, l net.Listener) netip.Addr {
	t.Helper()
	if err := l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
}

type sourceCase struct {
	name, bind, listen, want string
}

func TestDialSource(t *testing.T) {
	host := testnet.New(t).Host("pod")
	host.AddAddr("lo", "::6/128")
	host.AddAddr("lo", "10.9.9.9/32")
	cases := []sourceCase{
		{"the kernel's choice", "", "127.0.0.1:81", "127.0.0.1"},
		{"127.0.0.6", "127.0.0.6", "127.0.0.1:82", "127.0.0.6"},
		{"::6", "::6", "[::1]:83", "::6"},
		{"127.0.0.6 means ::6 towards IPv6", "127.0.0.6", "[::1]:84", "::6"},
		{"::6 means 127.0.0.6 towards IPv4", "::6", "127.0.0.1:85", "127.0.0.6"},
		{"another address", "10.9.9.9", "127.0.0.1:86", "10.9.9.9"},
		{"another address has no twin", "10.9.9.9", "[::1]:87", "::1"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := with(t, boundTo(tc.bind))
			l := host.Listen("tcp", tc.listen)
			host.Do(func() {
				connect(t, c, tc.listen)
				if err := c.CheckSource(); err != nil {
					t.Errorf("check at start: %v", err)
				}
			})
			if got := accept(t, l); got != netip.MustParseAddr(tc.want) {
				t.Errorf("the server sees %s, want %s", got, tc.want)
			}
		})
	}
}

func TestTransparentSource(t *testing.T) {
	host := testnet.New(t).Host("pod")
	// As TPROXY setups do, so that answers to the client's address come back.
	host.Run("ip", "route", "add", "local", "203.0.113.0/24", "dev", "lo")
	host.Sysctl("net.ipv4.conf.lo.rp_filter", "0")
	c := with(t, func(cfg *config.Cluster) {
		originalDst(cfg)
		cfg.TransparentSource = true
	})
	l := host.Listen("tcp", "127.0.0.1:81")
	var tried Tried
	ep, _ := pick(c, netip.MustParseAddrPort("127.0.0.1:81"), &tried)
	client := netip.MustParseAddr("203.0.113.7")
	host.Do(func() {
		fd, err := c.Dial(ep, Origin{Client: client, OnHost: true})
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close(fd)
		if errno := finish(t, fd); errno != 0 {
			t.Fatal(errno)
		}
	})
	if got := accept(t, l); got != client {
		t.Errorf("the server sees %s, want %s", got, client)
	}
	_, err := c.Dial(ep, Origin{Client: netip.MustParseAddr("fd00::1"), OnHost: true})
	if !errors.Is(err, ErrSourceFamily) || Blame(err) != HostAtFault {
		t.Errorf("IPv6 client towards IPv4: %v, blamed on %s", err, Blame(err))
	}
}

func TestMissingSourceSaysHowToMendIt(t *testing.T) {
	host := testnet.New(t).Host("pod")
	for _, tc := range []struct{ bind, to, help string }{
		{"::6", "[::1]:80", "ip -6 addr add ::6/128 dev lo"},
		{"10.9.9.9", "10.9.9.8:80", "upstream_bind_address"},
	} {
		c := with(t, boundTo(tc.bind))
		host.Do(func() {
			_, err := dialTo(t, c, tc.to)
			if !errors.Is(err, ErrSourceAddress) || !errors.Is(err, sock.EADDRNOTAVAIL) || !strings.Contains(err.Error(), tc.help) {
				t.Errorf("dial: %v", err)
			}
			if Blame(err) != HostAtFault {
				t.Errorf("blamed on %s: %v", Blame(err), err)
			}
			if err := c.CheckSource(); !errors.Is(err, ErrSourceAddress) || !strings.Contains(err.Error(), tc.help) {
				t.Errorf("check at start: %v", err)
			}
		})
	}
}

func TestNoIPv6NeedsNoIPv6Source(t *testing.T) {
	host := testnet.New(t).Host("pod")
	host.Sysctl("net.ipv6.conf.lo.disable_ipv6", "1")
	host.Do(func() {
		if err := with(t, boundTo("::6")).CheckSource(); err != nil {
			t.Error(err)
		}
	})
}

func TestRefused(t *testing.T) {
	host := testnet.New(t).Host("pod")
	host.Do(func() {
		fd, err := dialTo(t, with(t, boundTo("127.0.0.6")), "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close(fd)
		if errno := finish(t, fd); errno != sock.ECONNREFUSED || Blame(errno) != EndpointAtFault {
			t.Errorf("%v, blamed on %s", errno, Blame(errno))
		}
	})
}

// From one source address each endpoint has all ephemeral ports for itself.
// When they are gone it is not the endpoint's fault.
func TestEphemeralPorts(t *testing.T) {
	const ports = 100
	host := testnet.New(t).Host("pod")
	host.Sysctl("net.ipv4.ip_local_port_range", "40000 40099")
	c := with(t, boundTo("127.0.0.6"))
	for _, address := range []string{"127.0.0.1:81", "127.0.0.1:82"} {
		host.Listen("tcp", address)
		host.Do(func() {
			for range ports {
				connect(t, c, address)
			}
			_, err := dialTo(t, c, address)
			if !errors.Is(err, ErrSourcePorts) || Blame(err) != HostAtFault {
				t.Errorf("connection %d to %s: %v, blamed on %s", ports+1, address, err, Blame(err))
			}
		})
	}
}

// A port in TIME_WAIT is free again after net.ipv4.tcp_tw_reuse_delay, a
// second where that cannot be set; without reuse it would be a minute.
func TestSequentialConnectionsReusePorts(t *testing.T) {
	const connections = 400
	host := testnet.New(t).Host("pod")
	host.Sysctl("net.ipv4.ip_local_port_range", "40000 40099")
	host.Sysctl("net.ipv4.tcp_tw_reuse", "2")
	l := host.Listen("tcp", "127.0.0.1:81")
	c := with(t, boundTo("127.0.0.6"))
	host.Do(func() {
		// Only makes the test faster; kernels before 6.13 do not have it.
		_ = os.WriteFile("/proc/sys/net/ipv4/tcp_tw_reuse_delay", []byte("1"), 0)
		for i := range connections {
			fd := dialWhenPortFree(t, c, "127.0.0.1:81", i)
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			sock.Close(fd)
			conn.Close()
		}
	})
}

func dialWhenPortFree(t *testing.T, c *Cluster, address string, number int) int {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		fd, err := dialTo(t, c, address)
		if errors.Is(err, ErrSourcePorts) && time.Now().Before(deadline) {
			runtime.Gosched()
			continue
		}
		if err != nil {
			t.Fatalf("connection %d: %v", number+1, err)
		}
		if errno := finish(t, fd); errno != 0 {
			t.Fatalf("connection %d: %v", number+1, errno)
		}
		return fd
	}
}

type blameCase struct {
	errno sock.Errno
	want  Fault
}

func TestBlame(t *testing.T) {
	for _, tc := range []blameCase{
		{sock.EADDRNOTAVAIL, HostAtFault}, {sock.EADDRINUSE, HostAtFault}, {sock.EMFILE, HostAtFault},
		{sock.ENFILE, HostAtFault}, {sock.ENOBUFS, HostAtFault}, {sock.ENOMEM, HostAtFault}, {sock.EPERM, HostAtFault},
		{sock.EACCES, HostAtFault}, {sock.EAFNOSUPPORT, HostAtFault}, {sock.EINVAL, HostAtFault},
		{sock.ECONNREFUSED, EndpointAtFault}, {sock.ETIMEDOUT, EndpointAtFault}, {sock.EHOSTUNREACH, EndpointAtFault},
		{sock.ENETUNREACH, EndpointAtFault}, {sock.ECONNRESET, EndpointAtFault},
	} {
		if got := BlameErrno(tc.errno); got != tc.want || Blame(tc.errno) != tc.want {
			t.Errorf("%s is blamed on %s, want %s", sock.Name(tc.errno), got, tc.want)
		}
		wrapped := &sock.Error{Op: "connect", Addr: netip.MustParseAddrPort("1.2.3.4:5"), Errno: tc.errno}
		if got := Blame(wrapped); got != tc.want {
			t.Errorf("wrapped %s is blamed on %s, want %s", sock.Name(tc.errno), got, tc.want)
		}
	}
	if got := Blame(errors.New("anything else")); got != EndpointAtFault {
		t.Errorf("an unknown error is blamed on %s", got)
	}
}

// A loopback source cannot reach another host; that is the configuration's
// fault, and the kernel says EINVAL.
func TestLoopbackSourceOffHost(t *testing.T) {
	net := testnet.New(t)
	pod, other := net.Host("pod"), net.Host("other")
	net.Link(pod, "10.4.0.5/24", other, "10.4.0.9/24")
	pod.Do(func() {
		_, err := dialTo(t, with(t, boundTo("127.0.0.6")), "10.4.0.9:80")
		if !errors.Is(err, sock.EINVAL) || Blame(err) != HostAtFault {
			t.Errorf("%v, blamed on %s", err, Blame(err))
		}
	})
}

type userTimeoutCase struct {
	name    string
	address string
	onHost  bool
	want    int // milliseconds
}

func TestSocketOptions(t *testing.T) {
	host := testnet.New(t).Host("pod")
	host.AddAddr("lo", "10.9.9.9/32")
	c := with(t, func(cfg *config.Cluster) {
		originalDst(cfg)
		cfg.TCPUserTimeout = 7 * time.Second
		cfg.TCPKeepalive = config.Keepalive{Idle: 11 * time.Second, Interval: 12 * time.Second, Probes: 5}
	})
	for _, tc := range []userTimeoutCase{
		{"another host", "10.9.9.9:80", false, 7000},
		{"this host's own address", "10.9.9.9:80", true, 0},
		{"loopback", "127.0.0.1:80", false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var tried Tried
			ep, _ := pick(c, netip.MustParseAddrPort(tc.address), &tried)
			host.Do(func() {
				fd, err := c.Dial(ep, Origin{OnHost: tc.onHost})
				if err != nil {
					t.Fatal(err)
				}
				defer sock.Close(fd)
				for option, want := range map[int]struct{ least, most int }{
					unix.TCP_USER_TIMEOUT: {tc.want, tc.want}, unix.TCP_KEEPCNT: {5, 5}, unix.TCP_NODELAY: {1, 1},
					unix.TCP_KEEPIDLE: {6, 11}, unix.TCP_KEEPINTVL: {6, 12}, // see sock.Keepalive.Spread
				} {
					if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, option); err != nil || got < want.least || got > want.most {
						t.Errorf("TCP option %d is %d, %v; want %d to %d", option, got, err, want.least, want.most)
					}
				}
			})
		})
	}
}

func TestDialAllocatesNothing(t *testing.T) {
	c := with(t, boundTo("127.0.0.6"))
	host := testnet.New(t).Host("pod")
	host.Listen("tcp", "127.0.0.1:81")
	ep, _ := pick(c, netip.MustParseAddrPort("127.0.0.1:81"), new(Tried))
	host.Do(func() {
		if n := testing.AllocsPerRun(50, func() {
			fd, err := c.Dial(ep, Origin{})
			if err != nil {
				t.Fatal(err)
			}
			sock.Reset(fd)
		}); n != 0 {
			t.Errorf("%v allocations, want 0", n)
		}
	})
}

// A check has no client, and is made all the same.
func TestCheckUnderTransparentSource(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := with(t, func(cfg *config.Cluster) {
		originalDst(cfg)
		cfg.TransparentSource = true
	})
	fd, err := c.DialCheck(l.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close(fd)
	if errno := finish(t, fd); errno != 0 {
		t.Errorf("connect: %v", errno)
	}
}
