package proxy

import (
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/intercept"
	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/listener/policy"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// exchange sends some bytes each way and checks them.
func exchange(t *testing.T, a, b net.Conn) {
	t.Helper()
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		_, err := way[0].Write([]byte("hello"))
		must(t, err)
		got := make([]byte, 5)
		if _, err := io.ReadFull(way[1], got); err != nil || string(got) != "hello" {
			t.Fatalf("read %q, %v", got, err)
		}
	}
}

// Places go from one process to the other, with no line and no end counted, also
// where the next one has no room.
func TestHandOverMovesPlaces(t *testing.T) {
	s := newSuccession(t, func(ln *config.Listener) {
		ln.DefaultFilterChain.ConnectionLimit = &config.ConnectionLimit{MaxConnections: 3}
	})
	s.new.limits.SetMax(1)
	s.new.limits.Sources.SetMax(1)
	one, err := policy.NewConnectionLimit(1)
	must(t, err)
	s.new.chains.fallback.gate.limit = one
	var pairs [][2]*net.TCPConn
	for range 3 {
		client, server := s.connect()
		exchange(t, client, server)
		pairs = append(pairs, [2]*net.TCPConn{client, server})
	}
	s.old.expectPlaces(placesOf(3))
	s.new.expectPlaces(placesOf(0))
	if n := pass(t, s.old, s.new); n != 3 {
		t.Fatalf("%d connections were passed on, want 3", n)
	}
	s.old.expectPlaces(placesOf(0))
	s.new.expectPlaces(placesOf(3))
	for _, p := range pairs {
		exchange(t, p[0], p[1])
	}
	counters := s.new.ln.Stats
	if total, gone := s.new.counted(counters.CxTotal), s.old.counted(s.old.ln.Stats.CxDestroy); total != 0 || gone != 0 {
		t.Errorf("the new process counts %d new connections, the old one %d ended ones", total, gone)
	}
	for _, p := range pairs {
		p[0].Close()
		p[1].Close()
	}
	s.new.eventually("all have ended", func() bool { return s.new.live() == 0 })
	s.new.expectPlaces(placesOf(0))
	if gone := s.new.counted(counters.CxDestroy); gone != 3 {
		t.Errorf("the new process counts %d ended connections, want 3", gone)
	}
	s.expectNoLine(0)
}

// The oldest connections go first, no more than are asked for.
func TestExportTakesTheOldest(t *testing.T) {
	s := newSuccession(t, plain)
	for range 3 {
		s.connect()
	}
	list := s.old.export(2)
	if len(list) != 2 || list[0].ID != 1 || list[1].ID != 2 || s.old.live() != 1 {
		t.Errorf("%d connections of 3 were exported, %d are left", len(list), s.old.live())
	}
	s.old.takeBack(list)
	if list := s.old.export(0); list != nil {
		t.Errorf("%d connections were exported of none", len(list))
	}
}

// A connection that nobody took goes on where it was.
func TestTakeBack(t *testing.T) {
	s := newSuccession(t, plain)
	client, server := s.connect()
	exchange(t, client, server)
	before := s.old.places()
	list := s.old.export(1)
	_, err := client.Write([]byte("while it is away"))
	must(t, err)
	s.old.expectPlaces(placesOf(0))
	s.old.takeBack(list)
	if after := s.old.places(); after != before {
		t.Errorf("places %+v, were %+v", after, before)
	}
	got := make([]byte, 16)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "while it is away" {
		t.Fatalf("read %q, %v", got, err)
	}
	exchange(t, client, server)
	client.Close()
	server.Close()
	if line := s.line(0); line != "gateway to-app app 26 10 downstream fin copy" && line != "gateway to-app app 26 10 upstream fin copy" {
		t.Errorf("line %q", line)
	}
	s.old.expectPlaces(placesOf(0))
}

// A socket that nobody can watch any more ends its connection, and no other.
func TestTakeBackOfALostDescriptor(t *testing.T) {
	s := newSuccession(t, plain)
	client, _ := s.connect()
	list := s.old.export(1)
	lost := list[0].Upstream
	list[0].Upstream = -1
	s.old.takeBack(list)
	sock.Close(lost)
	if _, err := client.Read(make([]byte, 1)); !isReset(err) {
		t.Errorf("the client sees %v, want a reset", err)
	}
	s.old.expectPlaces(placesOf(0))
	if line := s.line(0); !strings.Contains(line, "proxy socket_error") {
		t.Errorf("line %q", line)
	}
}

// What Import refuses stays the caller's, and takes nothing.
func TestImportRefuses(t *testing.T) {
	type refusal struct {
		name  string
		spoil func(c *handover.Connection)
		want  error
	}
	closed := func(fd int) int { sock.Close(fd); return -1 }
	for _, tc := range []refusal{
		{"a byte is missing", func(c *handover.Connection) { c.FromUpstream.Read++ }, ErrInconsistent},
		{"no time", func(c *handover.Connection) { c.LastByte = time.Time{} }, ErrInconsistent},
		{"no downstream", func(c *handover.Connection) { c.Downstream = closed(c.Downstream) }, unix.EBADF},
		{"no upstream", func(c *handover.Connection) { c.Upstream = closed(c.Upstream) }, unix.EBADF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSuccession(t, plain)
			client, server := s.connect()
			list := s.old.export(1)
			arrived := sent(t, list[0])
			tc.spoil(arrived)
			if err := s.new.take(arrived); !errors.Is(err, tc.want) {
				t.Errorf("Import: %v, want %v", err, tc.want)
			}
			s.new.expectPlaces(placesOf(0))
			if s.new.live() != 0 {
				t.Error("the connection is there all the same")
			}
			// What was not closed by the case can be imported, as if for the first time.
			second := sent(t, list[0])
			for _, p := range [][2]*int{{&second.Downstream, &arrived.Downstream}, {&second.Upstream, &arrived.Upstream}} {
				if *p[1] >= 0 {
					sock.Close(*p[0])
					*p[0] = *p[1]
				}
			}
			must(t, s.new.take(second))
			list[0].close()
			exchange(t, client, server)
		})
	}
}

// Each end's FIN and RST is passed on and logged by the new process as ever.
func TestEndsAfterHandOver(t *testing.T) {
	ends(t, func(t *testing.T, s *succession, actor, other *net.TCPConn, name string) {
		exchange(t, actor, other)
		pass(t, s.old, s.new)
		_, err := actor.Write([]byte("last"))
		must(t, err)
		must(t, actor.SetLinger(0))
		got := make([]byte, 4)
		if _, err := io.ReadFull(other, got); err != nil {
			t.Fatal(err)
		}
		actor.Close()
		if _, err := other.Read(got); !isReset(err) {
			t.Errorf("the other end sees %v, want a reset", err)
		}
		want := "gateway to-app app 9 5 downstream rst copy"
		if name == "upstream" {
			want = "gateway to-app app 5 9 upstream rst copy"
		}
		if line := s.line(1); line != want {
			t.Errorf("line %q, want %q", line, want)
		}
		s.expectNoLine(0)
	})
}

// What cannot be handed over stays, unharmed.
func TestExportLeavesAlone(t *testing.T) {
	t.Run("inspecting", func(t *testing.T) {
		w := newInspecting(t)
		client := w.connect(w.chains)
		if list := w.export(1); list != nil {
			t.Fatal("a connection in inspection was exported")
		}
		first := hello("a.example")
		w.echoes(client, string(first))
	})
	t.Run("connecting", func(t *testing.T) {
		w := newWorkbench(t)
		port := w.addr.Port() + 1
		silent := addressOf(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 2), Port: int(port)})
		mute(t, silent)
		client := w.connect(&Chains{fallback: w.racers(port, "127.0.0.2")})
		if list := w.export(1); list != nil || w.live() != 1 {
			t.Fatal("a connection that is being connected was exported")
		}
		client.Close()
	})
	t.Run("a reset waits", func(t *testing.T) {
		ends(t, func(t *testing.T, s *succession, actor, other *net.TCPConn, _ string) {
			block, full := make([]byte, 128<<10), false
			for !full {
				must(t, actor.SetWriteDeadline(time.Now().Add(time.Second)))
				_, err := actor.Write(block)
				full = err != nil
			}
			must(t, actor.SetLinger(0))
			actor.Close()
			s.old.eventually("the reset is known", func() bool {
				failed := false
				s.old.loop.Do(func() { failed = s.old.worker.live.relay.End().Cause == relay.Reset })
				return failed
			})
			if list := s.old.export(1); list != nil || s.old.live() != 1 {
				t.Fatal("a connection with a reset to deliver was exported")
			}
			if _, err := io.Copy(io.Discard, other); !isReset(err) {
				t.Errorf("the other end sees %v, want a reset", err)
			}
		})
	})
}

// Every thing that is known of a connection is known to the next process, and to
// the one after that.
func TestHandOverKeepsAll(t *testing.T) {
	s := newSuccession(t, plain)
	client, server := s.connect()
	exchange(t, client, server)
	entrances := &intercept.Entrances{Capture: true}
	s.old.worker.around.Guard.SetEntrances(entrances)
	s.new.worker.around.Guard.SetEntrances(entrances)
	s.old.loop.Do(func() {
		c := s.old.worker.live
		c.logPolicy = "watched"
		c.trail = intercept.Trail{}.With(0).With(0)
		c.patience = patience{waiting: true, asked: c.loop().Now()}
		c.dialling.attempts = 3
		c.inspection = &listener.Inspection{NameKnown: true}
		c.inspection.Facts.ServerName, c.inspection.Facts.TransportProtocol = "a.example", config.TransportTLS
		c.inspection.Facts.ApplicationProtocols = []string{"h2"}
		c.inspection.Details = &listener.Details{JA3: "3", JA4: "4", Authority: "who", UniqueID: "\xff\x00"}
	})
	first := s.old.export(1)
	must(t, s.new.take(sent(t, first[0])))
	first[0].close()
	told := first[0].Connection
	guard := s.new.worker.around.Guard
	if trail, _ := guard.Trail(told.UpstreamLocal, told.Endpoint); trail.Turns(0) != 2 {
		t.Errorf("the new guard knows the trail %v", trail)
	}
	if !s.old.worker.around.Guard.Claim(told.UpstreamLocal, told.Endpoint, intercept.Trail{}) {
		t.Error("the old guard still knows the connection")
	}
	var record, again = told, handover.Connection{}
	s.new.loop.Do(func() { s.new.worker.live.patience.waiting = true }) // this configuration has no outlier detection
	second := s.new.export(1)
	again = second[0].Connection
	expectTimes(t, &record, &again)
	record.Downstream, record.Upstream = again.Downstream, again.Upstream
	if !reflect.DeepEqual(record, again) {
		t.Errorf("arrived as\n%+v, was\n%+v", again, record)
	}
	s.new.takeBack(second)
	if last := s.new.worker.around.IDs.Load(); last != told.ID {
		t.Errorf("numbers go on behind %d, want %d", last, told.ID)
	}
	exchange(t, client, server)
}

// expectTimes compares times, to what the turns of a loop may differ from the
// clock, and makes them equal.
func expectTimes(t *testing.T, want, got *handover.Connection) {
	t.Helper()
	for _, p := range [][2]*time.Time{{&want.Accepted, &got.Accepted}, {&want.Connected, &got.Connected},
		{&want.LastByte, &got.LastByte}, {&want.Asked, &got.Asked}} {
		if d := p[0].Sub(*p[1]).Abs(); d > time.Minute || p[1].IsZero() {
			t.Errorf("time %v, want %v", *p[1], *p[0])
		}
		*p[0] = *p[1]
	}
}

// Times go on with what is left of them: here nothing.
func TestHandOverKeepsTimes(t *testing.T) {
	const hour = time.Hour
	for _, tc := range []struct {
		name   string
		change func(p *config.TCPProxy)
		age    func(c *handover.Connection)
		want   string
	}{
		{"idle", func(p *config.TCPProxy) { p.IdleTimeout = hour },
			func(c *handover.Connection) { c.LastByte = c.LastByte.Add(-2 * hour) }, "idle_timeout"},
		{"half-close", func(p *config.TCPProxy) { p.HalfCloseTimeout = hour }, func(c *handover.Connection) {
			c.LastByte = c.LastByte.Add(-2 * hour)
			c.FromDownstream.Ended, c.FromDownstream.FinSent = true, true
		}, "half_close_timeout"},
		{"duration", func(p *config.TCPProxy) { p.MaxConnectionDuration = hour },
			func(c *handover.Connection) { c.Accepted = c.Accepted.Add(-2 * hour) }, "max_duration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSuccession(t, func(ln *config.Listener) {
				p := &ln.DefaultFilterChain.TCPProxy
				p.IdleTimeout, p.HalfCloseTimeout, p.MaxConnectionDuration = 0, 0, 0
				tc.change(p)
			})
			client, server := s.connect()
			exchange(t, client, server)
			list := s.old.export(1)
			must(t, s.new.take(sent(t, list[0])))
			if list[0].close(); s.new.live() != 1 {
				t.Fatal("the connection has ended early")
			}
			list = s.new.export(1)
			tc.age(&list[0].Connection)
			must(t, s.new.take(sent(t, list[0])))
			list[0].close()
			if line := s.line(1); !strings.Contains(line, "proxy "+tc.want) {
				t.Errorf("line %q, want %s", line, tc.want)
			}
		})
	}
}
