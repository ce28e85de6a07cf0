package listener

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/intercept"
	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// door is two running loops and one listener on 127.0.0.1, whose connections
// are noted and held open.
type door struct {
	t        *testing.T
	entrance *Entrance
	ln       *Listener
	registry *stats.Registry

	mu     sync.Mutex
	served []service
}

type service struct {
	loop     int
	accepted Accepted
}

func newDoor(t *testing.T, change func(*config.Listener)) *door {
	t.Helper()
	cfg := config.DefaultListener()
	cfg.Name, cfg.Address = "door", netip.MustParseAddrPort("127.0.0.1:0")
	chain := config.DefaultFilterChain()
	cfg.DefaultFilterChain = &chain
	if change != nil {
		change(&cfg)
	}
	d := &door{t: t, registry: stats.NewRegistry()}
	table, problems := NewTable([]config.Listener{cfg}, d.registry)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	hosts, err := intercept.NewHosts()
	if err != nil {
		t.Fatal(err)
	}
	d.ln = table.Listeners()[0]
	d.ln.Serve = d.serve
	d.entrance = &Entrance{Guard: intercept.NewGuard(hosts), Limits: new(Limits), Log: zap.NewNop()}
	d.entrance.Table.Store(table)
	for number := range 2 {
		loop, err := eventloop.New(eventloop.Options{})
		if err != nil {
			t.Fatal(err)
		}
		loopStats := d.registry.Loop(number)
		d.entrance.Loops = append(d.entrance.Loops, Loop{Loop: loop, Shard: d.registry.NewShard(), Stats: loopStats})
	}
	for _, loop := range d.entrance.Loops {
		loop.Shard.Grow(d.registry.Cells())
		go loop.Run()
	}
	t.Cleanup(d.close)
	return d
}

func (d *door) close() {
	for _, loop := range d.entrance.Loops {
		loop.Stop()
	}
	for _, s := range d.served {
		sock.Close(s.accepted.FD)
	}
}

func (d *door) serve(loop int, a Accepted) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.served = append(d.served, service{loop, a})
}

// acceptor makes the listening socket on a loop; the port is in its address.
func (d *door) acceptor(number int) (*Acceptor, netip.AddrPort) {
	d.t.Helper()
	a, err := NewAcceptor(d.ln, d.entrance, number)
	if err != nil {
		d.t.Fatal(err)
	}
	loop := d.entrance.Loops[number]
	d.t.Cleanup(func() { loop.Do(a.Close) })
	return a, sock.LocalAddr(a.fd)
}

func (d *door) open(a *Acceptor) {
	d.t.Helper()
	var err error
	a.loop.Do(func() { err = a.Open() })
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *door) connect(addr netip.AddrPort) net.Conn {
	d.t.Helper()
	client, err := net.Dial("tcp", addr.String())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { client.Close() })
	return client
}

// wait waits until n connections were served and returns them.
func (d *door) wait(n int) (served []service) {
	d.t.Helper()
	testnet.Eventually(d.t, time.Minute, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		served = append(served[:0], d.served...)
		if len(served) < n {
			return fmt.Errorf("%d connections were served, want %d", len(served), n)
		}
		return nil
	})
	return served
}

func (d *door) counted(c stats.Counter) uint64 {
	sum := make([]uint64, d.registry.Cells())
	for _, loop := range d.entrance.Loops {
		loop.Do(func() { loop.Shard.AddTo(sum) })
	}
	return sum[c]
}

func TestAccept(t *testing.T) {
	d := newDoor(t, nil)
	a, addr := d.acceptor(0)
	d.open(a)
	client := d.connect(addr)
	got := d.wait(1)[0]
	if got.loop != 0 || got.accepted.Refusal != Admitted {
		t.Errorf("served by loop %d with refusal %d", got.loop, got.accepted.Refusal)
	}
	if got.accepted.Peer.String() != client.LocalAddr().String() || got.accepted.Destination != addr {
		t.Errorf("peer %s, destination %s, want %s and %s", got.accepted.Peer, got.accepted.Destination, client.LocalAddr(), addr)
	}
	if got.accepted.Trail.Turns(d.ln.Ordinal) != 1 {
		t.Error("the listener is not on the connection's trail")
	}
	if d.ln.Active() != 1 || d.entrance.Limits.Active() != 1 || d.entrance.Loops[0].Load() != 1 {
		t.Error("the connection holds no place")
	}
}

func TestHandOver(t *testing.T) {
	d := newDoor(t, nil)
	a, addr := d.acceptor(0)
	d.open(a)
	d.entrance.Loops[0].AddLoad(100)
	const clients = 20
	for range clients {
		d.connect(addr)
	}
	for _, s := range d.wait(clients) {
		if s.loop != 1 {
			t.Errorf("a connection was served by the loop that carries 100 more")
		}
	}
	if n := d.counted(d.entrance.Loops[0].Stats.HandedOver); n != clients {
		t.Errorf("%d handed over, want %d", n, clients)
	}
}

func TestSmallDifferencesStay(t *testing.T) {
	d := newDoor(t, nil)
	a, addr := d.acceptor(0)
	d.open(a)
	d.entrance.Loops[0].AddLoad(handOverMargin)
	d.connect(addr)
	if got := d.wait(1)[0]; got.loop != 0 {
		t.Errorf("served by loop %d: a small difference is not worth a hand-over", got.loop)
	}
}

func TestLimits(t *testing.T) {
	cases := []struct {
		name          string
		listener, all int
		want          Refusal
	}{
		{"of the listener", 3, 0, ListenerFull},
		{"of the process", 0, 3, ProcessFull},
		{"both, the process first", 3, 3, ProcessFull},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			d := newDoor(t, func(cfg *config.Listener) { cfg.MaxConnections = tc.listener })
			d.entrance.Limits.SetMax(tc.all)
			a, addr := d.acceptor(0)
			d.open(a)
			for range 5 {
				d.connect(addr)
			}
			refused := 0
			for _, s := range d.wait(5) {
				if s.accepted.Refusal != Admitted {
					refused++
					if s.accepted.Refusal != tc.want {
						t.Errorf("refusal %d, want %d", s.accepted.Refusal, tc.want)
					}
				}
			}
			if refused != 2 || d.ln.Active() != 3 || d.entrance.Limits.Active() != 3 {
				t.Errorf("%d refused, %d and %d active, want 2, 3, 3", refused, d.ln.Active(), d.entrance.Limits.Active())
			}
		})
	}
}

// The sum over all loops never exceeds a limit, and no place is lost.
func TestLimitsUnderConcurrency(t *testing.T) {
	limits := new(Limits)
	limits.SetMax(50)
	ln := &Listener{Config: &config.Listener{MaxConnections: 40}, active: new(atomic.Int64)}
	var most sync.Map
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for range 2000 {
				if limits.admit(ln) == Admitted {
					if n := ln.Active(); n > 40 {
						most.Store(worker, n)
					}
					limits.Release(ln)
				}
			}
		})
	}
	all.Wait()
	most.Range(func(_, n any) bool { t.Errorf("%d active, limit 40", n); return true })
	if ln.Active() != 0 || limits.Active() != 0 {
		t.Errorf("%d and %d places are lost", ln.Active(), limits.Active())
	}
}

func TestFinishServesTheQueue(t *testing.T) {
	d := newDoor(t, nil)
	a, addr := d.acceptor(0)
	const clients = 200
	for range clients {
		d.connect(addr) // waits in the queue: nobody accepts yet
	}
	a.loop.Do(a.Finish)
	d.wait(clients)
	if conn, err := net.Dial("tcp", addr.String()); err == nil {
		conn.Close()
		t.Error("the socket still listens")
	}
}

// TestFinishLingers has clients come until they are refused: all that the kernel lets
// in are served.
func TestFinishLingers(t *testing.T) {
	d := newDoor(t, nil)
	a, addr := d.acceptor(0)
	d.open(a)
	var clients sync.WaitGroup
	var connected atomic.Int32
	for range 4 {
		clients.Go(func() {
			for {
				client, err := net.Dial("tcp", addr.String())
				if errors.Is(err, sock.ECONNREFUSED) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				connected.Add(1)
				defer client.Close()
			}
		})
	}
	d.wait(50)
	a.loop.Do(a.Finish)
	clients.Wait()
	d.wait(int(connected.Load()))
	testnet.Eventually(t, time.Minute, func() error {
		if a.loop.Do(func() { addr = sock.LocalAddr(a.fd) }); addr.IsValid() {
			return errors.New("the socket is open")
		}
		return nil
	})
}

// TestFinishShared has another process that goes on with the socket.
func TestFinishShared(t *testing.T) {
	for _, tc := range []struct{ kept, alone, lingers bool }{
		{kept: true}, {kept: true, alone: true}, {}, {alone: true, lingers: true},
	} {
		t.Run(fmt.Sprintf("%+v", tc), func(t *testing.T) {
			d := newDoor(t, nil)
			other, err := sock.Listen(d.ln.Config.Address, sock.ListenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer sock.Close(other)
			mine, errno := sock.Duplicate(other)
			if errno != 0 {
				t.Fatal(errno)
			}
			a, err := AdoptAcceptor(d.ln, d.entrance, 0, mine, tc.kept)
			if err != nil {
				t.Fatal(err)
			}
			d.open(a)
			if tc.alone {
				a.loop.Do(a.Alone)
			}
			var lingers bool
			a.loop.Do(func() {
				a.Finish()
				lingers = a.fd >= 0
				a.Close()
			})
			if lingers != tc.lingers {
				t.Errorf("it lingers: %t", lingers)
			}
			if deaf := sock.Deaf(other); deaf != tc.lingers {
				t.Errorf("the other process's socket is deaf: %t", deaf)
			}
		})
	}
}

// TestBeside has a socket that is closed unopened, and takes nobody from those that
// listened on its address before.
func TestBeside(t *testing.T) {
	d := newDoor(t, nil)
	a, addr := d.acceptor(0)
	d.ln.Config.Address = addr
	for _, opened := range []bool{false, true} {
		b, err := NewAcceptorBeside(d.ln, d.entrance, 1)
		if err != nil {
			t.Fatal(err)
		}
		if opened {
			d.open(b)
		}
		for range 64 { // the kernel chooses among those that listen
			d.connect(addr)
		}
		var atB int
		b.loop.Do(func() {
			b.FinishNow()
			d.mu.Lock()
			defer d.mu.Unlock()
			atB = len(d.served)
		})
		if atB > 0 != opened {
			t.Errorf("opened: %t, %d connections came to it", opened, atB)
		}
	}
	a.loop.Do(a.FinishNow)
	d.wait(128)
}

func TestRefusedAtTheDoor(t *testing.T) {
	t.Run("no original destination", func(t *testing.T) {
		d := newDoor(t, func(cfg *config.Listener) { cfg.InterceptionMode = config.InterceptRedirect })
		a, addr := d.acceptor(0)
		d.open(a)
		d.connect(addr)
		if got := d.wait(1)[0].accepted.Refusal; got != NoOriginalDestination {
			t.Errorf("refusal %d, want NoOriginalDestination", got)
		}
		if d.ln.Active() != 0 || d.entrance.Loops[0].Load() != 0 {
			t.Error("a refused connection holds a place")
		}
	})
	t.Run("our own connection, through this listener before", func(t *testing.T) {
		d := newDoor(t, nil)
		a, addr := d.acceptor(0)
		client := d.connect(addr)
		local := client.LocalAddr().(*net.TCPAddr).AddrPort()
		d.entrance.Guard.Claim(local, addr, intercept.Trail{}.With(d.ln.Ordinal))
		d.open(a)
		if got := d.wait(1)[0].accepted.Refusal; got != LoopGuard {
			t.Errorf("refusal %d, want LoopGuard", got)
		}
	})
	t.Run("our own connection, through another listener before", func(t *testing.T) {
		d := newDoor(t, nil)
		a, addr := d.acceptor(0)
		client := d.connect(addr)
		local := client.LocalAddr().(*net.TCPAddr).AddrPort()
		d.entrance.Guard.Claim(local, addr, intercept.Trail{}.With(d.ln.Ordinal+1))
		d.open(a)
		if got := d.wait(1)[0].accepted.Refusal; got != Admitted {
			t.Errorf("refusal %d, want none: a pod may call itself", got)
		}
	})
}

// Another loop may accept a connection before the one that dials it knows its
// source port; it must not take that for somebody else's.
func TestAcceptWaitsForADialUnderWay(t *testing.T) {
	d := newDoor(t, nil)
	a, addr := d.acceptor(0)
	d.entrance.Guard.Begin(addr)
	client := d.connect(addr)
	local := client.LocalAddr().(*net.TCPAddr).AddrPort()
	testnet.Eventually(t, time.Minute, func() (err error) {
		a.loop.Do(func() { // the dial lands in the turn of the accept: it waits for 100 ms only
			if a.accept(1); a.undecided == 0 {
				err = errors.New("nothing is accepted and waits")
				return
			}
			d.entrance.Guard.Landed(local, addr, intercept.Trail{}.With(d.ln.Ordinal))
		})
		return err
	})
	if got := d.wait(1)[0].accepted.Refusal; got != LoopGuard {
		t.Errorf("refusal %d, want LoopGuard", got)
	}
}

// A dial that never lands must not keep others waiting for ever.
func TestAcceptDoesNotWaitForEver(t *testing.T) {
	d := newDoor(t, nil)
	a, addr := d.acceptor(0)
	d.entrance.Guard.Begin(addr)
	d.open(a)
	d.connect(addr)
	if got := d.wait(1)[0].accepted.Refusal; got != Admitted {
		t.Errorf("refusal %d, want none", got)
	}
}

func TestOwner(t *testing.T) {
	listenerAt := func(name, address string, useOriginal bool) config.Listener {
		cfg := config.DefaultListener()
		cfg.Name, cfg.Address, cfg.UseOriginalDst = name, netip.MustParseAddrPort(address), useOriginal
		cfg.Bind = useOriginal
		cfg.InterceptionMode = config.InterceptRedirect
		chain := config.DefaultFilterChain()
		cfg.DefaultFilterChain = &chain
		return cfg
	}
	table, problems := NewTable([]config.Listener{
		listenerAt("virtual", "0.0.0.0:15001", true),
		listenerAt("exact", "10.4.1.12:9080", false),
		listenerAt("port", "0.0.0.0:9080", false),
		listenerAt("port6", "[::]:9080", false),
		listenerAt("plain", "0.0.0.0:15006", false),
	}, stats.NewRegistry())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	cases := []struct{ name, destination, want string }{
		{"exact address", "10.4.1.12:9080", "exact"},
		{"port alone", "10.4.1.13:9080", "port"},
		{"port alone, IPv6", "[fd00::1]:9080", "port6"},
		{"nobody's", "10.4.1.12:80", "virtual"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got := table.Owner(table.Listeners()[0], netip.MustParseAddrPort(tc.destination))
			if got.Config.Name != tc.want {
				t.Errorf("owner of %s is %s, want %s", tc.destination, got.Config.Name, tc.want)
			}
		})
	}
	plain := table.Listeners()[4]
	if got := table.Owner(plain, netip.MustParseAddrPort("10.4.1.12:9080")); got != plain {
		t.Error("a listener without use_original_dst has handed over")
	}
}
