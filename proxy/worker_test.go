package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/intercept"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/internal/testnet"
	"github.com/sluiceproxy/sluice/listener"
	"github.com/sluiceproxy/sluice/listener/policy"
)

// Only failing tests wait so long: for what must come, and for a stream that may
// take its time.
const patienceOfTests, hung = time.Minute, 5 * time.Minute

// workbench is one worker on one loop, with an echo server behind its chain.
type workbench struct {
	t      *testing.T
	worker *Worker
	loop   listener.Loop
	ln     *listener.Listener
	chains *Chains
	limits *listener.Limits

	homes    *Homes
	table    *listener.Table
	registry *stats.Registry
	socket   int // listens; accepted connections are served by hand
	addr     netip.AddrPort
}

func newWorkbench(t *testing.T) *workbench {
	t.Helper()
	return newWorkbenchOf(t, func(*config.Listener) {})
}

// newWorkbenchOf has change add to the listener, whose default chain leads to
// the cluster app.
func newWorkbenchOf(t *testing.T, change func(*config.Listener)) *workbench {
	t.Helper()
	return newWorkbenchTo(t, echoServer(t), change)
}

// newWorkbenchTo has another server behind the chain.
func newWorkbenchTo(t *testing.T, server netip.AddrPort, change func(*config.Listener)) *workbench {
	t.Helper()
	cfg := config.Default()
	cfg.Clusters = []config.Cluster{config.DefaultCluster()}
	cfg.Clusters[0].Name, cfg.Clusters[0].Type = "app", config.ClusterStatic
	cfg.Clusters[0].Endpoints = []config.Endpoint{{Address: config.Address(server), Weight: 1}}
	ln := config.DefaultListener()
	ln.Name, ln.Address = "gateway", netip.MustParseAddrPort("127.0.0.1:1")
	chain := config.DefaultFilterChain()
	chain.Name, chain.TCPProxy.Cluster = "to-app", "app"
	ln.DefaultFilterChain = &chain
	change(&ln)
	cfg.Listeners = []config.Listener{ln}

	registry := stats.NewRegistry()
	inner, err := eventloop.New(eventloop.Options{})
	must(t, err)
	loop := listener.Loop{Loop: inner, Shard: registry.NewShard(), Stats: registry.Loop(0)}
	table, problems := listener.NewTable(cfg.Listeners, registry)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	upstream, err := cluster.New(&cfg.Clusters[0], registry.Cluster("app"))
	must(t, err)
	hosts, err := intercept.NewHosts()
	must(t, err)
	files := accesslog.NewFiles(zap.NewNop())
	accessLog := config.DefaultAccessLog()
	accessLog.Path = os.DevNull
	everywhere := []config.AccessLog{accessLog} // so that the worker has the last record
	unmatched, err := files.Logger(everywhere)
	must(t, err)
	materials := &Materials{
		Clusters: map[string]*cluster.Cluster{"app": upstream}, Registry: registry, Files: files, Loops: []listener.Loop{loop}, Default: everywhere,
	}
	chains, err := NewChains(&cfg.Listeners[0], materials)
	must(t, err)
	homes, err := NewHomes(table, map[string]*Chains{table.Listeners()[0].Config.Name: chains}, materials)
	must(t, err)
	limits := &listener.Limits{Sources: policy.NewSources(1000)}
	limits.Sources.SetMax(1000)
	around := &Surroundings{
		Guard: intercept.NewGuard(hosts), Limits: limits, Resets: registry.Relay(), Inspections: registry.Inspection(), Log: zap.NewNop(),
	}
	around.Unmatched.Store(unmatched)
	w := &workbench{t: t, loop: loop, ln: table.Listeners()[0], chains: chains, limits: limits, homes: homes, table: table, registry: registry}
	w.worker = NewWorker(0, loop, around)
	loop.Shard.Grow(registry.Cells())
	w.socket, err = sock.Listen(netip.MustParseAddrPort("127.0.0.1:0"), sock.ListenOptions{})
	must(t, err)
	w.addr = sock.LocalAddr(w.socket)
	go loop.Run()
	t.Cleanup(func() {
		loop.Do(w.worker.ResetAll)
		loop.Stop()
		w.worker.Close()
		sock.Close(w.socket)
		must(t, files.Close(context.Background()))
	})
	return w
}

// last is the record of the connection that ended last.
func (w *workbench) last() (r accesslog.Record) {
	w.loop.Do(func() { r = w.worker.record })
	return r
}

// connect makes a client whose connection the worker serves with chains.
func (w *workbench) connect(chains *Chains) net.Conn {
	w.t.Helper()
	return w.connectFrom("127.0.0.1", chains)
}

func (w *workbench) connectFrom(source string, chains *Chains) net.Conn {
	w.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	client, err := dialer.Dial("tcp", w.addr.String())
	must(w.t, err)
	w.t.Cleanup(func() { client.Close() })
	must(w.t, client.SetDeadline(time.Now().Add(patienceOfTests)))
	var fd int
	var peer netip.AddrPort
	w.eventually("the connection is in the queue", func() bool {
		var errno sock.Errno
		fd, peer, errno = sock.Accept(w.socket)
		return errno == 0
	})
	w.loop.AddLoad(1)
	w.loop.Do(func() {
		place := w.limits.Adopt(peer.Addr(), w.ln)
		accepted := listener.Accepted{FD: fd, Place: place, Listener: w.ln, Peer: peer, Destination: w.addr, At: w.loop.Now()}
		w.worker.Serve(accepted, chains)
	})
	return client
}

func (w *workbench) eventually(what string, holds func() bool) {
	w.t.Helper()
	testnet.Eventually(w.t, patienceOfTests, func() error {
		if !holds() {
			return errors.New(what)
		}
		return nil
	})
}

func (w *workbench) echoes(client net.Conn, text string) {
	w.t.Helper()
	_, err := client.Write([]byte(text))
	must(w.t, err)
	answer := make([]byte, len(text))
	_, err = io.ReadFull(client, answer)
	must(w.t, err)
	if string(answer) != text {
		w.t.Fatalf("echo of %q is %q", text, answer)
	}
}

func (w *workbench) live() (n int) {
	w.loop.Do(func() { n = len(w.worker.Inspect("", 1<<20)) })
	return n
}

func (w *workbench) panics() uint64 { return w.counted(w.loop.Stats.Panics) }

func (w *workbench) counted(c stats.Counter) (n uint64) {
	w.loop.Do(func() {
		sum := make([]uint64, w.registry.Cells())
		w.loop.Shard.AddTo(sum)
		n = sum[c]
	})
	return n
}

func echoServer(t *testing.T) netip.AddrPort {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return server.Addr().(*net.TCPAddr).AddrPort()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPanicEndsOneConnectionOnly(t *testing.T) {
	cases := []struct {
		name    string
		breakIt func(*Chain)
	}{
		{"while being taken over", func(c *Chain) { c.routes = nil }},
		{"when the upstream answers", func(c *Chain) { c.routes[0].meters = nil }},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorkbench(t)
			other := w.connect(w.chains)
			w.echoes(other, "before")

			broken := *w.chains.fallback
			broken.routes = append([]route(nil), broken.routes...)
			tc.breakIt(&broken)
			victim := w.connect(&Chains{fallback: &broken})
			if _, err := victim.Read(make([]byte, 1)); !isReset(err) {
				t.Errorf("the client of the panicking connection sees %v, want a reset", err)
			}
			w.echoes(other, "after")
			w.eventually("only the other connection lives", func() bool { return w.live() == 1 })
			if n := w.panics(); n != 1 {
				t.Errorf("%d panics counted, want 1", n)
			}
			if n := w.loop.Load(); n != 1 {
				t.Errorf("the loop carries %d connections, want 1", n)
			}
		})
	}
}

func TestStructsAreUsedAgain(t *testing.T) {
	w := newWorkbench(t)
	for range 3 {
		client := w.connect(w.chains)
		w.echoes(client, "hello")
		client.Close()
		w.eventually("the connection has ended", func() bool { return w.live() == 0 })
	}
	kept := 0
	w.loop.Do(func() {
		for c := w.worker.free; c != nil; c = c.next {
			kept++
			if want := (Connection{worker: w.worker, id: c.id, state: closed, next: c.next}); !reflect.DeepEqual(*c, want) {
				t.Errorf("what is kept of a connection that has ended: %+v", c)
			}
		}
	})
	if kept != 1 {
		t.Errorf("%d structs were made for connections that came one after the other, want 1", kept)
	}
}

func TestResetAll(t *testing.T) {
	w := newWorkbench(t)
	var clients []net.Conn
	for range 5 {
		client := w.connect(w.chains)
		w.echoes(client, "hello")
		clients = append(clients, client)
	}
	w.loop.Do(w.worker.ResetAll)
	for i, client := range clients {
		if _, err := client.Read(make([]byte, 1)); !isReset(err) {
			t.Errorf("client %d sees %v, want a reset", i, err)
		}
	}
	if n := w.live(); n != 0 {
		t.Errorf("%d connections live, want none", n)
	}
}

func TestInspect(t *testing.T) {
	w := newWorkbench(t)
	client := w.connect(w.chains)
	w.echoes(client, "hello")
	var infos []Info
	w.loop.Do(func() { infos = w.worker.Inspect("app", 10) })
	if len(infos) != 1 {
		t.Fatalf("%d connections, want 1", len(infos))
	}
	got := infos[0]
	if got.Received != 5 || got.Sent != 5 || got.Engine != "copy" || got.Chain != "to-app" || got.Listener != "gateway" {
		t.Errorf("connection is %+v", got)
	}
	if got.Downstream.String() != client.LocalAddr().String() {
		t.Errorf("downstream is %s, want %s", got.Downstream, client.LocalAddr())
	}
	w.loop.Do(func() { infos = w.worker.Inspect("another", 10) })
	if len(infos) != 0 {
		t.Errorf("%d connections of another cluster, want none", len(infos))
	}
}

func isReset(err error) bool {
	op, ok := err.(*net.OpError)
	return ok && sock.ErrnoOf(op.Err) == syscall.ECONNRESET
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
