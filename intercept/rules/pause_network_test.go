package rules

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func (f *fixture) pausedOn(h Host, paused bool) {
	f.t.Helper()
	var err error
	f.pod.Do(func() {
		if paused {
			err = h.Pause(context.Background())
		} else {
			err = h.Resume(context.Background())
		}
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// echoCaptured stands in the proxy's place and gives back what it gets.
func (f *fixture) echoCaptured(o Options, family Family) {
	f.t.Helper()
	var inbound, outbound net.Listener
	wild := family.anyAddress()
	outbound = f.pod.Listen(networkOf(wild), net.JoinHostPort(wild, fmt.Sprint(o.OutboundPort)))
	if o.Mode == TProxy {
		inbound = spoofing{f, int(o.TProxyMark), family}.listen(o.InboundPort)
	} else {
		inbound = f.pod.Listen(networkOf(wild), net.JoinHostPort(wild, fmt.Sprint(o.InboundPort)))
	}
	for _, l := range []net.Listener{inbound, outbound} {
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				f.t.Cleanup(func() { _ = conn.Close() })
				go func() { _, _ = io.Copy(conn, conn) }()
			}
		}()
	}
}

// captive is a connection of which echoCaptured has the other end.
type captive struct {
	name string
	conn net.Conn
}

func (c captive) echo(t *testing.T, when string) {
	t.Helper()
	got := make([]byte, 4)
	if _, err := io.WriteString(c.conn, "echo"); err != nil {
		t.Errorf("%s, %s: %v", c.name, when, err)
		return
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c.conn, got); err != nil || string(got) != "echo" {
		t.Errorf("%s, %s: %q (%v)", c.name, when, got, err)
	}
}

// captives opens a connection in and one out, of each family.
func (f *fixture) captives() []captive {
	f.t.Helper()
	var all []captive
	for _, p := range families() {
		for _, way := range []struct {
			name, to string
			port     uint16
			by       sender
		}{{"inbound", p.pod, 9080, f.remote()}, {"outbound", p.remote, 80, f.app()}} {
			var conn net.Conn
			var err error
			way.by.host.Do(func() {
				asUser(way.by.uid, way.by.gid, func() {
					conn, err = net.DialTimeout(networkOf(way.to), net.JoinHostPort(way.to, fmt.Sprint(way.port)), 10*time.Second)
				})
			})
			if err != nil {
				f.t.Fatal(err)
			}
			f.t.Cleanup(func() { _ = conn.Close() })
			all = append(all, captive{fmt.Sprintf("%s to %s", way.name, conn.RemoteAddr()), conn})
		}
	}
	return all
}

// wantDirect wants new connections not to be captured.
func (f *fixture) wantDirect() {
	f.t.Helper()
	for _, p := range families() {
		if got := f.remote().ask(net.Dialer{}, p.pod, 9080); !strings.HasPrefix(got, "app from ") {
			f.t.Errorf("a new connection in: %q", got)
		}
		if got := f.app().ask(net.Dialer{}, p.remote, 80); !strings.HasPrefix(got, "remote from ") {
			f.t.Errorf("a new connection out: %q", got)
		}
	}
}

// TestPause: paused rules let new connections pass, and go on translating those that
// were captured; nothing else in the pod uses conntrack, so that without rules the
// kernel would not. Resumed, the rules are as before.
func TestPause(t *testing.T) {
	for _, b := range backends() {
		for _, mode := range []Mode{Redirect, TProxy} {
			t.Run(fmt.Sprint(b.name, " ", mode), func(t *testing.T) {
				f, h, o := newFixture(t), b.host(t), Default()
				o.Mode = mode
				f.applyOn(h, o, IPv4, IPv6)
				f.cleanOn(h) // what is left then are the tables
				before := picture(t, f.pod, h)
				f.applyOn(h, o, IPv4, IPv6)
				applied := picture(t, f.pod, h)
				for _, family := range []Family{IPv4, IPv6} {
					f.echoCaptured(o, family)
				}
				all := f.captives()
				f.pausedOn(h, true)
				for _, c := range all {
					c.echo(t, "paused")
				}
				f.wantDirect()
				once := picture(t, f.pod, h)
				f.pausedOn(h, true)
				if twice := picture(t, f.pod, h); twice != once {
					t.Errorf("paused twice:\n%s\nonce:\n%s", twice, once)
				}
				f.pausedOn(h, false)
				if resumed := picture(t, f.pod, h); resumed != applied {
					t.Errorf("resumed:\n%s\nbefore:\n%s", resumed, applied)
				}
				for _, c := range append(all, f.captives()...) {
					c.echo(t, "resumed")
				}
				f.pausedOn(h, true)
				f.applyOn(h, o, IPv4, IPv6)
				if again := picture(t, f.pod, h); again != applied {
					t.Errorf("applied again:\n%s\nbefore:\n%s", again, applied)
				}
				f.pausedOn(h, true)
				f.cleanOn(h)
				if after := picture(t, f.pod, h); after != before {
					t.Errorf("cleaned:\n%s\nbefore:\n%s", after, before)
				}
			})
		}
	}
}

// TestPauseNothing: where nothing was applied, and beside the rules of others,
// nothing is done.
func TestPauseNothing(t *testing.T) {
	f, h := newFixture(t), systemHost()
	f.addForeign(h)
	before := picture(t, f.pod, h)
	for _, paused := range []bool{true, false} {
		f.pod.Do(func() {
			if text, err := h.DryRunPause(context.Background(), paused); err != nil || text != "# nothing to do\n" {
				t.Errorf("paused %v: would do %q (%v)", paused, text, err)
			}
		})
		f.pausedOn(h, paused)
	}
	if after := picture(t, f.pod, h); after != before {
		t.Errorf("after:\n%s\nbefore:\n%s", after, before)
	}
	f.applyOn(h, Default(), IPv4)
	f.pod.Do(func() {
		text, err := h.DryRunPause(context.Background(), true)
		if err != nil || !strings.Contains(text, "-A ISTIO_INBOUND -j RETURN\n") || strings.Contains(text, "THEIRS") {
			t.Errorf("would do %q (%v)", text, err)
		}
	})
}
