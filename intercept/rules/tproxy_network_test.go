package rules

import (
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// spoofing proxies each captured connection to the application from the
// client's own address, as transparent_source does.
type spoofing struct {
	f      *fixture
	mark   int
	family Family
}

func (s spoofing) listen(port uint16) net.Listener {
	var l net.Listener
	var err error
	lc := net.ListenConfig{Control: s.transparent}
	s.f.pod.Do(func() {
		asUser(1337, 1337, func() {
			wild := s.family.anyAddress()
			l, err = lc.Listen(s.f.t.Context(), networkOf(wild), net.JoinHostPort(wild, fmt.Sprint(port)))
		})
	})
	if err != nil {
		s.f.t.Fatal(err)
	}
	s.f.t.Cleanup(func() { _ = l.Close() })
	return l
}

// transparent is what a proxy sets on both its sockets: IP_TRANSPARENT, and
// on the one to the application the mark.
func (s spoofing) transparent(_, _ string, raw syscall.RawConn) error {
	var err error
	controlErr := raw.Control(func(fd uintptr) {
		if s.family == IPv6 {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1)
		} else {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)
		}
	})
	if err != nil {
		return err
	}
	return controlErr
}

func (s spoofing) marked(network, address string, raw syscall.RawConn) error {
	if err := s.transparent(network, address, raw); err != nil {
		return err
	}
	var err error
	controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, s.mark)
	})
	if err != nil {
		return err
	}
	return controlErr
}

// serveOne takes one captured connection and answers it with what the
// application says to the client's address, or with what went wrong.
func (s spoofing) serveOne(l net.Listener) error {
	down, err := l.Accept()
	if err != nil {
		return err
	}
	defer down.Close()
	client := down.RemoteAddr().(*net.TCPAddr)
	target := down.LocalAddr().(*net.TCPAddr)
	// Not the client's port: the packets would be those of its own connection.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: client.IP, Port: client.Port - 1}, Control: s.marked, Timeout: 5 * time.Second}
	up := sender{s.f.pod, 1337, 1337}.ask(d, target.IP.String(), uint16(target.Port))
	_, err = io.WriteString(down, fmt.Sprintf("via %s: %s\n", target, up))
	return err
}

type spoofCase struct {
	name   string
	change func(*Options)
	setup  func(*fixture)
}

func asIs(*fixture) {}

// replyOverEth1 has packets to the client leave by another interface than
// the one on which the client's come in.
func replyOverEth1(f *fixture) {
	for _, key := range []string{"all", "eth0", "eth1"} {
		f.pod.Sysctl("net.ipv4.conf."+key+".rp_filter", "0")
		f.client.Sysctl("net.ipv4.conf."+key+".rp_filter", "0")
	}
	f.pod.Route("10.4.0.9/32", "10.5.0.9")
	f.pod.Route("fd00:4::9/128", "fd00:5::9")
}

// TestTProxyKeepsTheClientAddress: the application sees the client's own
// address, and its replies to it come back to the proxy.
func TestTProxyKeepsTheClientAddress(t *testing.T) {
	for _, c := range []spoofCase{
		{"defaults", nothing, asIs},
		{"other mark and table", func(o *Options) { o.TProxyMark, o.TProxyTable = 16, 200 }, asIs},
		{"listed port", func(o *Options) { o.InboundPorts = PortSet{Ports: []uint16{9080}} }, asIs},
		{"reply route through an excluded interface", func(o *Options) { o.ExcludeInterfaces = []string{"eth1"} }, replyOverEth1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			o := Default()
			o.Mode = TProxy
			c.change(&o)
			c.setup(f)
			f.apply(o)
			for _, p := range families() {
				s := spoofing{f, int(o.TProxyMark), p.family}
				l := s.listen(o.InboundPort)
				served := make(chan error, 1)
				go func() { served <- s.serveOne(l) }()
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(p.client)}}
				got := f.remote().ask(d, p.pod, 9080)
				want := fmt.Sprintf("via %s: app from %s", net.JoinHostPort(p.pod, "9080"), p.client)
				if got != want {
					t.Errorf("%s: %q, not %q", p.family, got, want)
				}
				_ = l.Close()
				if err := <-served; err != nil {
					t.Errorf("%s: %v", p.family, err)
				}
			}
		})
	}
}

// TestTProxyForForeignAddress shows what the policy route is for: without it a
// packet that is for another address than the pod's own never arrives.
func TestTProxyForForeignAddress(t *testing.T) {
	f := newFixture(t)
	o := Default()
	o.Mode = TProxy
	f.capture(o)
	f.apply(o)
	f.client.Route("198.51.100.0/24", "10.4.0.5")
	if got, want := f.remote().ask(net.Dialer{}, "198.51.100.7", 9080), captured(15006, "198.51.100.7", 9080); got != want {
		t.Errorf("with the route: %q, not %q", got, want)
	}
	f.pod.Run("ip", "rule", "del", "fwmark", "1337", "lookup", "133")
	if got := f.remote().ask(net.Dialer{Timeout: time.Second}, "198.51.100.7", 9080); strings.HasPrefix(got, "port") {
		t.Errorf("without the route: %q", got)
	}
}
