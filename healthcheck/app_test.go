package healthcheck

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// appCheck is the default check of an application, made fast.
func appCheck() config.HealthCheck {
	c := config.DefaultAppHealthCheck()
	c.Interval = 10 * time.Millisecond
	c.Timeout = 100 * time.Millisecond
	c.UnhealthyThreshold = 2
	return c
}

// app checks one port of an application at address.
func app(t *testing.T, p config.AppHealthPort) *App {
	t.Helper()
	r := newRig(t)
	a := NewApp(r.checker, []config.AppHealthPort{p}, GroupOptions{Dial: dial, HostFault: r.options.HostFault})
	t.Cleanup(a.Close)
	return a
}

func expectStatus(t *testing.T, a *App, port uint16, ok bool, reason string) {
	t.Helper()
	var got bool
	var why string
	eventually(t, "the status", func() bool {
		var known bool
		got, why, known = a.Status(port)
		return known && got == ok && strings.Contains(why, reason) && (ok || !strings.Contains(why, "not checked yet"))
	})
}

type appCase struct {
	name   string
	server func(*served)
	change func(*config.HealthCheck)
	ok     bool
	reason string
}

func TestApp(t *testing.T) {
	http := func(c *config.HealthCheck) { c.Type, c.TCP = config.HealthCheckHTTP, config.TCPHealthCheck{} }
	plain := func(c *config.HealthCheck) { c.TCP.ExpectReaction = false }
	for _, tc := range []appCase{
		{"alive", drain, none, true, ""},
		{"gone", nil, none, false, "connection refused"},
		{"accepts and never answers", hold, none, false, "nothing accepts or reads there"},
		{"accepts and never answers, by a connection alone", hold, plain, true, ""},
		{"HTTP", says(good), http, true, ""},
		{"HTTP that is not well", says(bad), http, false, "HTTP status 500"},
		{"HTTP that never answers", hold, http, false, "no whole answer came within 100ms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			address := testnet.ClosedPort(t)
			if tc.server != nil {
				address = serve(t, tc.server)
			}
			p := config.AppHealthPort{Port: address.Port(), Check: appCheck()}
			tc.change(&p.Check)
			expectStatus(t, app(t, p), address.Port(), tc.ok, tc.reason)
		})
	}
}

// backlog is a listening socket whose application accepts nothing.
func backlog(t *testing.T, length int) (int, netip.AddrPort) {
	t.Helper()
	fd, err := sock.Listen(netip.MustParseAddrPort("127.0.0.1:0"), sock.ListenOptions{Backlog: length})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close(fd) })
	return fd, sock.LocalAddr(fd)
}

// An application that hangs accepts nothing. Its kernel makes connections all
// the same, and a plain check is content with them.
func TestAppThatAcceptsNothing(t *testing.T) {
	_, address := backlog(t, 4096)
	p := config.AppHealthPort{Port: address.Port(), Check: appCheck()}
	expectStatus(t, app(t, p), address.Port(), false, "nothing accepts or reads there")
	p.Check.TCP.ExpectReaction = false
	expectStatus(t, app(t, p), address.Port(), true, "")
}

// The queue of a listening socket that nobody serves is full at some time, and
// no connection is made any more.
func TestFullBacklog(t *testing.T) {
	_, address := backlog(t, 1)
	for range 4 { // as many as the queue has room for, and more
		if conn, err := (&net.Dialer{Timeout: 100 * time.Millisecond}).Dial("tcp", address.String()); err == nil {
			defer conn.Close()
		}
	}
	c := slow(config.HealthCheckTCP)
	hasty(&c)
	r := newRig(t)
	r.watch(address, c)
	if v := r.expect(Unhealthy); v.Failure != Timeout || !strings.Contains(v.Reason, "no connection within 50ms") {
		t.Errorf("%s %q", v.Failure, v.Reason)
	}
}

// An application may listen in one family only, or elsewhere.
func TestAppAddresses(t *testing.T) {
	six := listen(t, "[::1]:0")
	go func() {
		for {
			conn, err := six.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	port := six.Addr().(*net.TCPAddr).AddrPort().Port()
	expectStatus(t, app(t, config.AppHealthPort{Port: port, Check: appCheck()}), port, true, "")
	elsewhere := config.AppHealthPort{Port: 9080, Address: serve(t, drain), Check: appCheck()}
	a := app(t, elsewhere)
	expectStatus(t, a, 9080, true, "")
	if _, _, known := a.Status(9081); known {
		t.Error("a port is known that was not given")
	}
}

// An application dies and comes back.
func TestAppDies(t *testing.T) {
	l := listen(t, netip.AddrPortFrom(testnet.Loopback(), 0).String())
	address := l.Addr().(*net.TCPAddr).AddrPort()
	answer := func(l net.Listener) {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			conn.Close()
		}
	}
	go answer(l)
	a := app(t, config.AppHealthPort{Port: address.Port(), Address: address, Check: appCheck()})
	expectStatus(t, a, address.Port(), true, "")
	l.Close()
	expectStatus(t, a, address.Port(), false, "connection refused")
	go answer(listen(t, address.String()))
	expectStatus(t, a, address.Port(), true, "")
}
