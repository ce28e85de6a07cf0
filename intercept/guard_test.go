package intercept

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/sluiceproxy/sluice/internal/sock"
)

func TestGuardForgets(t *testing.T) {
	g := NewGuard(nil)
	from, to := netip.MustParseAddrPort("10.4.0.5:40000"), netip.MustParseAddrPort("10.4.1.12:9080")
	trail := Trail{}.With(3)
	g.Claim(from, to, trail)
	if got, _ := g.Trail(from, to); got != trail {
		t.Errorf("trail is %b, want %b", got, trail)
	}
	for name, other := range map[string][2]netip.AddrPort{
		"the other way":  {to, from},
		"another port":   {netip.AddrPortFrom(from.Addr(), 40001), to},
		"another target": {from, netip.AddrPortFrom(to.Addr(), 80)},
	} {
		if got, _ := g.Trail(other[0], other[1]); got != (Trail{}) {
			t.Errorf("%s has the trail %b, want none", name, got)
		}
	}
	g.Closed(from, to)
	if got, _ := g.Trail(from, to); got != (Trail{}) {
		t.Errorf("closed connection has the trail %b", got)
	}
	if len(g.own) != 0 {
		t.Errorf("%d connections are kept", len(g.own))
	}
}

// A redirected connection and the socket that dialled it may write the same
// IPv4 address in two ways.
func TestGuardKnowsMappedAddresses(t *testing.T) {
	g := NewGuard(nil)
	to := netip.MustParseAddrPort("10.4.1.12:9080")
	g.Claim(netip.MustParseAddrPort("[::ffff:10.4.0.5]:40000"), to, Trail{}.With(1))
	if trail, _ := g.Trail(netip.MustParseAddrPort("10.4.0.5:40000"), to); trail == (Trail{}) {
		t.Error("the mapped form of the address is taken for another")
	}
}

// While a dial is announced, a connection to its destination may be that one.
func TestGuardIsNotSureWhileADialIsUnderWay(t *testing.T) {
	g := NewGuard(nil)
	from, to := netip.MustParseAddrPort("10.4.0.5:40000"), netip.MustParseAddrPort("10.4.1.12:9080")
	other := netip.MustParseAddrPort("10.4.0.5:50000")
	sure := func(peer, destination netip.AddrPort) bool {
		_, sure := g.Trail(peer, destination)
		return sure
	}
	g.Begin(to)
	g.Begin(to)
	if sure(from, to) {
		t.Error("sure of a connection to where a dial is under way")
	}
	if !sure(from, netip.AddrPortFrom(to.Addr(), 80)) {
		t.Error("not sure of a connection to where nobody dials")
	}
	g.Landed(from, to, Trail{}.With(1))
	if !sure(from, to) || sure(other, to) {
		t.Error("the dial that has landed is known, the other is still under way")
	}
	g.Failed(to)
	if !sure(other, to) || len(g.begun) != 0 {
		t.Error("not sure although no dial is under way")
	}
}

func TestTrail(t *testing.T) {
	trail := Trail{}.With(0).With(63).With(63).With(63)
	for listener, want := range map[int]int{0: 1, 1: 0, 63: 2, 64: 1} {
		if got := trail.Turns(listener); got != want {
			t.Errorf("%d turns through listener %d, want %d", got, listener, want)
		}
	}
}

func TestHosts(t *testing.T) {
	hosts, err := NewHosts()
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.6": true, "::1": true, "::ffff:127.0.0.1": true, "0.0.0.0": true, "::": true,
		"192.0.2.1": false, "2001:db8::1": false,
	} {
		if got := hosts.Has(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Has(%s) = %t, want %t", addr, got, want)
		}
	}
}

func TestOriginalDestinationWithoutCapture(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	addr := server.Addr().(*net.TCPAddr).AddrPort()
	fd, err := sock.Dial(addr, &sock.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close(fd)
	local := sock.LocalAddr(fd)
	for _, mode := range []Mode{Direct, TProxy} {
		if got, err := mode.OriginalDestination(fd, addr); err != nil || got != local {
			t.Errorf("mode %d: %s, %v, want the local address %s", mode, got, err, local)
		}
	}
	if _, err := Redirect.OriginalDestination(fd, addr); !errors.Is(err, ErrNoOriginalDestination) {
		t.Errorf("not redirected: error is %v, want ErrNoOriginalDestination", err)
	}
}
