package daemon

import (
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/testnet"
	"github.com/sluiceproxy/sluice/listener"
)

// reloadable is a trial whose configuration next changes.
type reloadable struct {
	*trial
	mu   sync.Mutex
	next *config.Config
	err  error
}

func newReloadable(t *testing.T) *reloadable {
	r := &reloadable{trial: newTrial(t)}
	r.change(func(*config.Config) {})
	r.load = func() (*Loaded, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return &Loaded{Config: r.next, Dump: func() any { return nil }}, r.err
	}
	r.start()
	return r
}

// change makes the next configuration of the first one.
func (r *reloadable) change(how func(*config.Config)) {
	next := *r.cfg
	next.Listeners = append([]config.Listener(nil), next.Listeners...)
	next.Clusters = append([]config.Cluster(nil), next.Clusters...)
	if how != nil {
		how(&next)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = &next
}

func (r *reloadable) reload() {
	r.t.Helper()
	if _, err := r.daemon.Reload("a test"); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reloadable) end() {
	r.t.Helper()
	r.signals <- syscall.SIGTERM
	r.signals <- syscall.SIGTERM
	r.waitEnd()
}

// stuck says whether a connection still echoes.
func (r *reloadable) alive(conn net.Conn) bool {
	_, err := conn.Write([]byte("x"))
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	return err == nil
}

// What has not changed is the same afterwards, and not only equal.
func TestReloadKeepsWhatIsUnchanged(t *testing.T) {
	r := newReloadable(t)
	conn := r.connect()
	r.echoes(conn)
	before, sockets := r.daemon.snapshot.Load(), r.daemon.acceptors[0][0]
	r.change(func(cfg *config.Config) {
		extra := cfg.Clusters[0]
		extra.Name = "extra"
		cfg.Clusters = append(cfg.Clusters, extra)
	})
	r.reload()
	after := r.daemon.snapshot.Load()
	if after == before || after.clusters["app"] != before.clusters["app"] || after.clusters["extra"] == nil {
		t.Error("the cluster is another one")
	}
	if r.daemon.acceptors[0][0] != sockets || after.table.Listeners()[0].Active() != 1 {
		t.Errorf("other sockets, or %d active", after.table.Listeners()[0].Active())
	}
	r.echoes(conn)
	r.echoes(r.connect())
	r.end()
}

// New connections follow the new configuration, live ones their own.
func TestReloadOfACluster(t *testing.T) {
	r := newReloadable(t)
	conn := r.connect()
	r.echoes(conn)
	r.change(func(cfg *config.Config) { cfg.Clusters[0].Endpoints = nil })
	r.reload()
	if fresh, err := net.Dial("tcp", r.cfg.Listeners[0].Address.String()); err == nil {
		if r.alive(fresh) {
			t.Error("a new connection echoes, though its cluster has no endpoint")
		}
		fresh.Close()
	}
	r.echoes(conn)
	r.change(func(*config.Config) {})
	r.reload()
	r.echoes(r.connect())
	r.end()
}

// Listeners come and go; the connections of those that go have drain.time.
func TestReloadOfListeners(t *testing.T) {
	r := newReloadable(t)
	conn := r.connect()
	r.echoes(conn)
	other := testnet.ClosedPort(t)
	r.change(func(cfg *config.Config) {
		cfg.Drain.Time = 8 * time.Second
		cfg.Drain.MinTime = 0
		cfg.Listeners[0].Name, cfg.Listeners[0].Address = "other", other
	})
	r.reload()
	if _, err := net.Dial("tcp", r.cfg.Listeners[0].Address.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the old address: %v", err)
	}
	r.echoes(conn)
	fresh, err := net.Dial("tcp", other.String())
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	r.echoes(fresh)
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("after drain.time: %v, want a reset", err)
	}
	r.echoes(fresh)
	r.end()
}

// TestReloadKeepsSockets changes everything about a listener but its address: whoever
// connects meanwhile finds the socket that was there.
func TestReloadKeepsSockets(t *testing.T) {
	r := newReloadable(t)
	cookies := func() (all []uint64) {
		r.daemon.onLoops(r.daemon.acceptors, func(a *listener.Acceptor) {
			cookie, errno := sock.Cookie(a.Descriptor())
			if errno != 0 {
				t.Error(errno)
			}
			all = append(all, cookie)
		})
		return all
	}
	before := cookies()
	for _, change := range []func(*config.Listener){
		func(ln *config.Listener) { ln.TCPKeepalive.Idle = 0 },
		func(ln *config.Listener) { ln.TCPKeepalive = config.DefaultListener().TCPKeepalive },
		func(ln *config.Listener) { ln.InterceptionMode = config.InterceptRedirect },
		func(ln *config.Listener) { ln.InterceptionMode = config.DefaultListener().InterceptionMode },
		func(ln *config.Listener) { ln.Name = "renamed" },
	} {
		r.change(func(cfg *config.Config) { change(&cfg.Listeners[0]) })
		r.reload()
		if now := cookies(); !slices.Equal(now, before) {
			t.Errorf("sockets %d, before %d", now, before)
		}
	}
	r.echoes(r.connect())
	r.end()
}

// TestReloadTakesAndGives takes an address away and gives it back at once, while its
// old sockets still wait for handshakes.
func TestReloadTakesAndGives(t *testing.T) {
	r := newReloadable(t)
	home := r.cfg.Listeners[0].Address
	for range 3 {
		r.change(func(cfg *config.Config) { cfg.Listeners[0].Address = testnet.ClosedPort(t) })
		r.reload()
		r.change(func(cfg *config.Config) { cfg.Listeners[0].Address = home })
		r.reload()
		r.echoes(r.connect())
	}
	r.end()
}

type rejectCase struct {
	name   string
	change func(*config.Config)
	err    error
}

// A reload that fails, at any step, has changed nothing and left nothing behind.
func TestReloadRejected(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tc := range []rejectCase{
		{"the file is bad", func(*config.Config) {}, errors.New("x.yml:1: listerners: unknown key")},
		{"an address is taken", func(cfg *config.Config) {
			second := cfg.Listeners[0]
			second.Name, second.Address = "second", testnet.ClosedPort(t)
			third := cfg.Listeners[0]
			third.Name, third.Address = "third", taken.Addr().(*net.TCPAddr).AddrPort()
			changed := cfg.Clusters[0]
			changed.ConnectTimeout = time.Second
			cfg.Listeners, cfg.Clusters = append(cfg.Listeners, second, third), []config.Cluster{changed}
		}, nil},
		{"an access log cannot be opened", func(cfg *config.Config) {
			log := config.DefaultAccessLog()
			log.Path = "/no/such/directory/log"
			cfg.AccessLog = []config.AccessLog{log}
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReloadable(t)
			r.echoes(r.connect())
			before, count := r.daemon.snapshot.Load(), descriptors(t)
			r.change(tc.change)
			r.err = tc.err
			if _, err := r.daemon.Reload("a test"); err == nil {
				t.Fatal("accepted")
			}
			if r.daemon.snapshot.Load() != before {
				t.Error("the snapshot has changed")
			}
			eventually(t, "no descriptor is left", func() bool { return descriptors(t) <= count })
			body := get(t, "http://"+r.cfg.Admin.Address+"/config_dump") + get(t, "http://"+r.cfg.Admin.Address+"/stats")
			for _, want := range []string{"error_state", `sluice_config_reload_total{result="failure"}: 1`, "sluice_config_rejected: 1"} {
				if !strings.Contains(body, want) {
					t.Errorf("the admin API does not say %s", want)
				}
			}
			r.echoes(r.connect())
			r.end()
		})
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// Rules of a new configuration end the connections that they refuse.
func TestReloadDenies(t *testing.T) {
	r := newReloadable(t)
	conn := r.connect()
	r.echoes(conn)
	r.change(func(cfg *config.Config) {
		chain := *cfg.Listeners[0].DefaultFilterChain
		chain.RBAC = []config.RBAC{{Action: config.RBACDeny, Policies: []config.RBACPolicy{{Name: "all", Any: true}}}}
		cfg.Listeners[0].DefaultFilterChain = &chain
	})
	r.reload()
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection: %v, want a reset", err)
	}
	r.end()
}

// Reloads under load lose no connection, and nothing grows.
func TestReloadsUnderLoad(t *testing.T) {
	r := newReloadable(t)
	var failed, made atomic.Int64
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				conn, err := net.Dial("tcp", r.cfg.Listeners[0].Address.String())
				if err != nil || !r.alive(conn) {
					failed.Add(1)
				}
				if err == nil {
					conn.Close()
				}
				made.Add(1)
			}
		})
	}
	steady := r.connect()
	variants := []func(*config.Config){
		func(*config.Config) {},
		func(cfg *config.Config) { cfg.Clusters[0].ConnectTimeout = 7 * time.Second },
		func(cfg *config.Config) { cfg.Listeners[0].MaxConnections = 100000 },
		func(cfg *config.Config) {
			chain := *cfg.Listeners[0].DefaultFilterChain
			chain.TCPProxy.IdleTimeout = time.Hour
			cfg.Listeners[0].DefaultFilterChain = &chain
		},
	}
	round := func(n int) {
		for i := range n {
			r.change(variants[i%len(variants)])
			r.reload()
			r.echoes(steady)
		}
	}
	round(20)
	count, goroutines := descriptors(t), runtime.NumGoroutine()
	round(80)
	close(stop)
	clients.Wait()
	if failed.Load() > 0 || made.Load() == 0 {
		t.Errorf("%d of %d connections failed", failed.Load(), made.Load())
	}
	eventually(t, "nothing has grown", func() bool { return descriptors(t) <= count && runtime.NumGoroutine() <= goroutines })
	r.end()
}

// A drain takes no new configuration, and does not wait for one.
func TestNoReloadWhileDraining(t *testing.T) {
	r := newReloadable(t)
	conn := r.connect()
	r.echoes(conn)
	r.signals <- syscall.SIGTERM
	r.waitLog("draining")
	if _, err := r.daemon.Reload("a test"); !errors.Is(err, errDraining) {
		t.Errorf("%v", err)
	}
	conn.Close()
	r.waitEnd()
}
