package handover

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// fault is a taker that goes wrong at one step: it gets the connection raw, after
// the hellos.
type fault struct {
	name    string
	taker   func(l *link)
	problem error // what the giver says, if it is to be that
}

// upTo plays a good taker to just before its acknowledgement.
func upTo(l *link, batch bool) {
	dropNext(l)
	l.send(kindReady, readyBody{[]int{0}}, nil)
	l.expect(kindAccept, patience, nil)
	if batch {
		dropNext(l)
	}
}

// dropNext receives a message and closes its descriptors.
func dropNext(l *link) {
	m, _ := l.receive(patience)
	sock.CloseAll(m.fds)
}

func faults() []fault {
	garbage := func(l *link) { l.conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")) }
	return []fault{
		{"gone at once", func(l *link) {}, nil},
		{"gone before ready", dropNext, errGone},
		{"garbage for ready", garbage, nil},
		{"silent before ready", func(l *link) { io.Copy(io.Discard, l.conn) }, os.ErrDeadlineExceeded},
		{"gone after ready", func(l *link) { upTo(l, false) }, nil},
		{"gone with a batch", func(l *link) { upTo(l, true) }, errGone},
		{"silent with a batch", func(l *link) { upTo(l, true); io.Copy(io.Discard, l.conn) }, os.ErrDeadlineExceeded},
		{"garbage for an acknowledgement", func(l *link) { upTo(l, true); garbage(l); io.Copy(io.Discard, l.conn) }, nil},
		{"acknowledges what it was not given", func(l *link) { upTo(l, true); l.send(kindTake, takeBody{[]uint64{1, 99}}, nil) }, ErrProtocol},
		{"acknowledges twice", func(l *link) { upTo(l, true); l.send(kindTake, takeBody{[]uint64{1, 1}}, nil) }, ErrProtocol},
		{"acknowledges, and cannot be told", func(l *link) {
			upTo(l, true)
			l.conn.CloseRead()
			l.send(kindTake, takeBody{[]uint64{1}}, nil)
		}, nil},
	}
}

// TestTakerFails shows that the giver keeps everything that was not acknowledged,
// whatever the taker does.
func TestTakerFails(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			noLeak(t)
			r := newRelayed(t, 1)
			defer r.closeAll()
			o := quick()
			if f.problem == os.ErrDeadlineExceeded {
				o.Step, o.Ready = time.Second, time.Second
			}
			s := connect(t, o, quick())
			var taken []uint64
			giveErr, _ := both(func() (err error) {
				defer s.giver.Close()
				taken, err = serveAll(s.giver, []ListenerSocket{{FD: r.connection.Downstream}}, []Connection{r.connection})
				return err
			}, func() error {
				f.taker(&s.taker.link)
				return s.taker.Close()
			})
			if giveErr == nil || len(taken) > 0 || f.problem != nil && !errors.Is(giveErr, f.problem) {
				t.Errorf("the giver says %v, %v; want the error %v", taken, giveErr, f.problem)
			}
			if err := r.alive(&r.connection); err != nil {
				t.Errorf("the giver cannot go on with the connection: %v", err)
			}
		})
	}
}

// TestGiverFails has the giver go away at each of the taker's steps: the taker fails
// too, and has no descriptor left but what it got before.
func TestGiverFails(t *testing.T) {
	steps := []struct {
		name  string
		giver func(s sides, r *relayed)
	}{
		{"before listeners", func(sides, *relayed) {}},
		{"garbage for listeners", func(s sides, r *relayed) { s.giver.link.send(kindListeners, "x", []int{r.connection.Upstream}) }},
		{"fewer listeners than descriptors", func(s sides, r *relayed) {
			s.giver.link.send(kindListeners, listenersBody{}, []int{r.connection.Upstream})
		}},
		{"more to come, and nothing", func(s sides, r *relayed) { s.giver.link.send(kindListeners, listenersBody{More: true}, nil) }},
		{"before it says go", func(s sides, r *relayed) { s.giver.SendListeners(nil) }},
		{"garbage for a batch", func(s sides, r *relayed) {
			s.giver.SendListeners(nil)
			s.giver.WaitReady()
			s.giver.link.send(kindConnections, []int{1, 2}, []int{r.connection.Upstream})
		}},
		{"a batch without descriptors", func(s sides, r *relayed) {
			s.giver.SendListeners(nil)
			s.giver.WaitReady()
			s.giver.link.send(kindConnections, []Connection{{ID: 1}}, nil)
		}},
		{"before it lets go", func(s sides, r *relayed) {
			s.giver.SendListeners(nil)
			s.giver.WaitReady()
			records, _ := encodeBatch([]Connection{r.connection})
			s.giver.link.send(kindConnections, records, []int{r.connection.Downstream, r.connection.Upstream})
			s.giver.link.expect(kindTake, patience, nil)
		}},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			noLeak(t)
			r := newRelayed(t, 1)
			defer r.closeAll()
			s := connect(t, quick(), quick())
			_, takeErr := both(func() error {
				step.giver(s, r)
				return s.giver.Close()
			}, func() error {
				_, live, err := takeAll(s.taker, func(*Connection) bool { return true })
				if len(live) > 0 {
					t.Errorf("the taker has %d connections", len(live))
				}
				return errors.Join(err, s.taker.Close())
			})
			if takeErr == nil || errors.Is(takeErr, io.EOF) {
				t.Errorf("the taker says %v", takeErr)
			}
			if err := r.alive(&r.connection); err != nil {
				t.Errorf("the giver cannot go on with the connection: %v", err)
			}
		})
	}
}

// TestDecision shows that both sides agree whether something was given away, also
// when the taker has stopped waiting: once too early, once just in time.
func TestDecision(t *testing.T) {
	t.Run("sent too late", func(t *testing.T) {
		s := connect(t, quick(), quick())
		if err := s.taker.link.decision(kindTaken, time.Millisecond); err == nil {
			// Nothing was sent, so waiting again in decision ends by itself only
			// because this side was closed for reading.
			t.Error("the taker has it")
		}
		if err := s.giver.link.send(kindTaken, nil, nil); err == nil {
			t.Error("the giver has let go")
		}
	})
	t.Run("sent before the taker has stopped", func(t *testing.T) {
		s := connect(t, quick(), quick())
		if err := s.giver.link.send(kindTaken, nil, nil); err != nil {
			t.Fatal(err)
		}
		// A wait that is over before it has begun reads nothing at first.
		if err := s.taker.link.decision(kindTaken, time.Nanosecond); err != nil {
			t.Errorf("the giver has let go, and the taker says %v", err)
		}
	})
}

// TestCallOff has the old process say that it goes on by itself, before a batch and
// instead of letting go of one: the new one knows that it is not dead.
func TestCallOff(t *testing.T) {
	for _, within := range []string{"before a batch", "within a batch"} {
		t.Run(within, func(t *testing.T) {
			noLeak(t)
			r := newRelayed(t, 1)
			defer r.closeAll()
			s := connect(t, quick(), quick())
			giveErr, takeErr := both(func() error {
				err := s.giver.SendListeners(nil)
				if err == nil {
					_, err = s.giver.WaitReady()
				}
				if err == nil && within == "within a batch" {
					records, _ := encodeBatch([]Connection{r.connection})
					err = s.giver.link.send(kindConnections, records, []int{r.connection.Downstream, r.connection.Upstream})
				}
				return errors.Join(err, s.giver.CallOff())
			}, func() error {
				_, live, err := takeAll(s.taker, func(*Connection) bool { return true })
				if len(live) > 0 {
					t.Errorf("the taker has %d connections", len(live))
				}
				return err
			})
			if giveErr != nil || !errors.Is(takeErr, ErrOff) {
				t.Errorf("the giver says %v, the taker %v", giveErr, takeErr)
			}
			if err := r.alive(&r.connection); err != nil {
				t.Errorf("the giver cannot go on with the connection: %v", err)
			}
		})
	}
}

// TestKeptSockets has the new process say from which sockets it accepts.
func TestKeptSockets(t *testing.T) {
	cases := []struct {
		name string
		kept []int
		good bool
	}{
		{"none", nil, true},
		{"some", []int{1}, true},
		{"one that was not offered", []int{0, 2}, false},
		{"a negative one", []int{-1}, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := connect(t, quick(), quick())
			r := newRelayed(t, 1)
			defer r.closeAll()
			var kept []int
			giveErr, takeErr := both(func() (err error) {
				defer s.giver.Close()
				if err := s.giver.SendListeners([]ListenerSocket{{FD: r.connection.Downstream}, {FD: r.connection.Upstream}}); err != nil {
					return err
				}
				kept, err = s.giver.WaitReady()
				return err
			}, func() error {
				list, err := s.taker.Listeners()
				for i := range list {
					sock.Close(list[i].FD)
				}
				if err != nil {
					return err
				}
				return s.taker.Ready(tc.kept)
			})
			if good := giveErr == nil && takeErr == nil; good != tc.good || tc.good && !slices.Equal(kept, tc.kept) {
				t.Errorf("the giver has %v, %v; the taker %v", kept, giveErr, takeErr)
			}
			if !tc.good && !errors.Is(giveErr, ErrProtocol) {
				t.Errorf("the giver says %v", giveErr)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	noLeak(t)
	path := socketPath(t)
	server, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	hellos := []struct{ name, hello, problem string }{
		{"newer", `{"Protocol":2,"Role":"taker"}`, "version 2"},
		{"older", `{"Role":"taker"}`, "version 0"},
		{"another role", `{"Protocol":1,"Role":"client"}`, "right socket"},
		{"no hello", `[`, "JSON"},
	}
	for _, tc := range hellos {
		t.Run(tc.name, func(t *testing.T) {
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			l := link{conn.(*net.UnixConn), patience}
			frame := append([]byte{byte(kindHello), 0, 0, 0, 0, byte(len(tc.hello))}, tc.hello...)
			if _, err := l.conn.Write(frame); err != nil {
				t.Fatal(err)
			}
			g, err := server.Accept(context.Background(), quick)
			if g != nil || !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), tc.problem) {
				t.Errorf("Accept = %v, %v; want %q", g, err, tc.problem)
			}
		})
	}
}

func TestSendRefuses(t *testing.T) {
	s := connect(t, quick(), quick())
	if taken, err := s.giver.SendConnections([]Connection{{ID: 5}, {ID: 5}}); err == nil {
		t.Errorf("two connections with one ID: %v, %v", taken, err)
	}
	if err := s.giver.SendListeners(make([]ListenerSocket, maxListeners+1)); err == nil {
		t.Error("too many listening sockets give no error")
	}
	if err := s.taker.Acknowledge([]uint64{5}); err == nil {
		t.Error("what is in no batch was acknowledged")
	}
}

// TestBatchSizes bounds messages: connections with much that waits travel alone.
func TestBatchSizes(t *testing.T) {
	large := Flow{Waiting: make([]byte, 1<<20+64<<10)}
	cases := []struct {
		name string
		live []Connection
		want int
	}{
		{"small", make([]Connection, 1000), maxBatch},
		{"few", make([]Connection, 3), 3},
		{"large", []Connection{{FromDownstream: large, FromUpstream: large}, {}, {}}, 1},
		{"large later", []Connection{{}, {FromDownstream: large, FromUpstream: large}, {}}, 2},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			records, err := encodeBatch(tc.live)
			text, _ := json.Marshal(records)
			if err != nil || len(records) != tc.want || len(text) > maxBody {
				t.Errorf("%d connections, %d bytes, %v; want %d", len(records), len(text), err, tc.want)
			}
		})
	}
}
