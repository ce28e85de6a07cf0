package rules

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

func TestMain(m *testing.M) { testnet.Main(m) }

// fixture is a pod with an application and something that stands in the
// proxy's place, and a client with a remote service on the same wire.
type fixture struct {
	t           *testing.T
	pod, client *testnet.Host
}

// places are the addresses of one family.
type places struct {
	family                                Family
	pod, client, remote, other, localhost string
	passthrough                           string
}

func families() []places {
	return []places{
		{IPv4, "10.4.0.5", "10.4.0.9", "10.4.0.10", "10.4.0.11", "127.0.0.1", "127.0.0.6"},
		{IPv6, "fd00:4::5", "fd00:4::9", "fd00:4::10", "fd00:4::11", "::1", "::6"},
	}
}

// The ports of the application; the proxy's own are listened on too, so that
// a connection that is not captured has somewhere to arrive.
func appPorts() []uint16 { return []uint16{9080, 9090, 15008, 15020, 15021, 15090} }

func newFixture(t *testing.T) *fixture {
	testnet.Need(t, "iptables", "ip6tables")
	n := testnet.New(t)
	f := &fixture{t: t, pod: n.Host("pod"), client: n.Host("client")}
	n.Link(f.pod, "10.4.0.5/24,fd00:4::5/64", f.client,
		"10.4.0.9/24,10.4.0.10/24,10.4.0.11/24,fd00:4::9/64,fd00:4::10/64,fd00:4::11/64")
	n.Link(f.pod, "10.5.0.5/24,fd00:5::5/64", f.client, "10.5.0.9/24,fd00:5::9/64")
	for _, port := range []uint16{80, 443} {
		f.serve(f.client, port, "remote")
	}
	for _, port := range appPorts() {
		f.serve(f.pod, port, "app")
	}
	return f
}

// serve answers each connection with a name and with who is seen to ask.
func (f *fixture) serve(h *testnet.Host, port uint16, name string) {
	for _, wild := range []string{"0.0.0.0", "::"} {
		l := h.Listen(networkOf(wild), net.JoinHostPort(wild, fmt.Sprint(port)))
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				from := conn.RemoteAddr().(*net.TCPAddr).IP
				_, _ = fmt.Fprintf(conn, "%s from %s\n", name, from)
				_ = conn.Close()
			}
		}()
	}
}

// capture listens on the ports of the proxy; the rules' own listener serves.
func (f *fixture) capture(o Options) {
	for _, family := range []Family{IPv4, IPv6} {
		for _, port := range []uint16{o.OutboundPort, o.InboundPort} {
			var l *captureListener
			var err error
			f.pod.Do(func() { l, err = listenCapture(family, port, o.Mode == TProxy && port == o.InboundPort) })
			if err != nil {
				f.t.Fatal(err)
			}
			f.t.Cleanup(l.close)
		}
	}
}

func (f *fixture) apply(o Options, families ...Family) {
	f.t.Helper()
	if len(families) == 0 {
		families = []Family{IPv4, IPv6}
	}
	sets, err := BuildAll(o, families)
	if err != nil {
		f.t.Fatal(err)
	}
	f.pod.Do(func() { err = systemHost().Apply(context.Background(), sets) })
	if err != nil {
		f.t.Fatal(err)
	}
}

func systemHost() Host { return NewHost(SearchPath(os.Getenv("PATH"))) }

// sender is who connects: in which host, as which user.
type sender struct {
	host     *testnet.Host
	uid, gid int
}

func (f *fixture) app() sender    { return sender{f.pod, 1000, 1000} }
func (f *fixture) proxy() sender  { return sender{f.pod, 1337, 1337} }
func (f *fixture) remote() sender { return sender{f.client, 0, 0} }

// ask connects and returns the one line that comes back, or why none does.
func (s sender) ask(d net.Dialer, to string, port uint16) string {
	if d.Timeout == 0 {
		d.Timeout = 5 * time.Second
	}
	var conn net.Conn
	var err error
	s.host.Do(func() {
		asUser(s.uid, s.gid, func() {
			conn, err = d.DialContext(context.Background(), networkOf(to), net.JoinHostPort(to, fmt.Sprint(port)))
		})
	})
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(d.Timeout))
	line, err := io.ReadAll(conn)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(line))
}

// asUser gives the sockets that fn makes another owner. The file system ids
// belong to the thread alone, and the owner match reads those (xt_owner.c).
func asUser(uid, gid int, fn func()) {
	_ = unix.Setfsgid(gid)
	_ = unix.Setfsuid(uid)
	defer func() {
		_ = unix.Setfsuid(os.Getuid())
		_ = unix.Setfsgid(os.Getgid())
	}()
	fn()
}

func networkOf(addr string) string {
	if netip.MustParseAddr(addr).Is6() {
		return "tcp6"
	}
	return "tcp4"
}

func captured(port uint16, dst string, dstPort uint16) string {
	return arrival(port, net.JoinHostPort(dst, fmt.Sprint(dstPort)))
}
