package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// canTakeOver is what a daemon says when it lets the next one take over.
const canTakeOver = "another process can take over"

// generations are daemons of one configuration, each of which takes over from the
// one before at the socket for that.
type generations struct {
	t      *testing.T
	cfg    *config.Config
	socket string
	store  *fakeStore // nil: none
	all    []*trial
}

func newGenerations(t *testing.T) *generations {
	g := &generations{t: t, cfg: newTrial(t).cfg, socket: filepath.Join(t.TempDir(), "takeover")}
	g.cfg.Metrics.Address, g.cfg.Readiness.Address = testnet.ClosedPort(t).String(), testnet.ClosedPort(t).String()
	return g
}

// next makes a daemon that takes over, with changes to its configuration.
func (g *generations) next(change func(*config.Config)) *trial {
	g.t.Helper()
	tr := newTrial(g.t)
	cfg := *g.cfg
	cfg.Listeners = append([]config.Listener(nil), g.cfg.Listeners...)
	change(&cfg)
	tr.cfg = &cfg
	tr.options = func(o *Options) {
		o.Upgrade = Upgrade{From: g.socket, At: g.socket}
		if g.store != nil {
			o.Store = g.store.open
		}
	}
	g.all = append(g.all, tr)
	return tr
}

// first starts the first one, which finds nobody to take over from.
func (g *generations) first() *trial {
	g.t.Helper()
	tr := g.next(same)
	tr.start()
	tr.waitLog(canTakeOver)
	return tr
}

// succeed starts the next one, and waits until the one before has ended.
func (g *generations) succeed(change func(*config.Config)) *trial {
	g.t.Helper()
	before := g.all[len(g.all)-1]
	tr := g.next(change)
	tr.start()
	tr.waitLog("taken over")
	before.waitEnd()
	tr.waitLog(canTakeOver)
	return tr
}

func same(*config.Config) {}

// TestUpgradeAfterReload has a listener that a reload has just taken away come back with
// the next process.
func TestUpgradeAfterReload(t *testing.T) {
	g := newGenerations(t)
	old := g.next(same)
	next := *old.cfg
	next.Listeners = nil
	old.load = func() (*Loaded, error) { return &Loaded{Config: &next, Dump: func() any { return nil }}, nil }
	old.start()
	old.waitLog(canTakeOver)
	if _, err := old.daemon.Reload("a test"); err != nil {
		t.Fatal(err)
	}
	now := g.succeed(same)
	now.echoes(now.connect())
}

func TestUpgrade(t *testing.T) {
	changes := []struct {
		name   string
		change func(*config.Config)
	}{
		{"as it was", same},
		{"fewer loops", func(c *config.Config) { c.Concurrency = 1 }},
		{"more loops", func(c *config.Config) { c.Concurrency = 4 }},
		{"without an HTTP port", func(c *config.Config) { c.Metrics.Address = "" }},
		{"another HTTP port", func(c *config.Config) { c.Metrics.Address = testnet.ClosedPort(t).String() }},
	}
	for _, tc := range changes {
		t.Run(tc.name, func(t *testing.T) {
			g := newGenerations(t)
			old := g.first()
			conns := old.connectMany(300) // some batches
			now := g.succeed(tc.change)
			now.echoes(conns...)
			now.echoes(now.connect())
			again := g.succeed(same)
			again.echoes(conns...)
			if n := again.daemon.around.Limits.Active(); n < 300 || again.daemon.epoch != 2 {
				t.Errorf("%d connections, epoch %d", n, again.daemon.epoch)
			}
		})
	}
}

// A listener that the new configuration does not have closes; its connections go on.
func TestUpgradeRemovesListener(t *testing.T) {
	g := newGenerations(t)
	second := g.cfg.Listeners[0]
	second.Name, second.Address = "second", testnet.ClosedPort(t)
	g.cfg.Listeners = append(g.cfg.Listeners, second)
	old := g.first()
	conn, err := net.Dial("tcp", second.Address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	old.echoes(conn)
	now := g.succeed(func(c *config.Config) { c.Listeners = c.Listeners[:1] })
	now.echoes(conn)
	now.echoes(now.connect())
	if other, err := net.Dial("tcp", second.Address.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connection to the listener that is gone: %v, %v", other, err)
	}
}

// What the admin API has told goes along.
func TestUpgradeKeepsUnready(t *testing.T) {
	g := newGenerations(t)
	old := g.first()
	old.daemon.unready.Store(true)
	if now := g.succeed(same); !now.daemon.unready.Load() {
		t.Error("the new process is ready")
	}
}

// SIGUSR2 without a program to start, and with one that fails, changes nothing.
func TestUpgradeBySignal(t *testing.T) {
	tr := newTrial(t)
	ends := make(chan error, 1)
	tr.options = func(o *Options) {
		o.Upgrade.Start = func(string) (<-chan error, error) { return ends, nil }
	}
	tr.start()
	for number, end := range []error{errors.New("exit status 1"), nil} {
		ends <- end
		tr.signals <- syscall.SIGUSR2
		eventually(t, "the upgrade has failed", func() bool { return tr.daemon.upgrades.failed.Load() == uint64(number+1) })
		tr.echoes(tr.connect())
	}
	said := fmt.Sprint(tr.logs.FilterMessage("upgrade: this process goes on").All())
	for _, want := range []string{"exit status 1", "with status 0, before it took over"} {
		if !strings.Contains(said, want) {
			t.Errorf("the log says %s, want %q", said, want)
		}
	}
}

// With the program that it starts being this one, it is what a user does.
func TestUpgradeToStarted(t *testing.T) {
	tr := newTrial(t)
	cfg := *tr.cfg
	next := &trial{t: t, cfg: &cfg, signals: make(chan os.Signal, 4), ended: make(chan error, 1)}
	tr.options = func(o *Options) {
		o.Upgrade.Start = func(from string) (<-chan error, error) {
			if stranger, err := net.Dial("unix", from); err == nil {
				stranger.Close()
			}
			next.options = func(o *Options) { o.Upgrade = Upgrade{From: from, Must: true} }
			next.launch()
			return make(chan error), nil
		}
	}
	tr.start()
	conn := tr.connect()
	tr.echoes(conn)
	tr.signals <- syscall.SIGUSR2
	tr.waitEnd()
	next.waitLog("taken over")
	next.echoes(conn)
	next.echoes(next.connect())
}

// A socket that the service manager has made is used, and others are closed.
func TestInheritedSockets(t *testing.T) {
	for _, shares := range []bool{true, false} {
		t.Run(fmt.Sprintf("shares its port: %t", shares), func(t *testing.T) {
			tr := newTrial(t)
			made := listenAs(t, tr.cfg.Listeners[0].Address, shares)
			http := listenAs(t, netip.MustParseAddrPort(tr.cfg.Admin.Address), false)
			spare := listenAs(t, testnet.ClosedPort(t), false)
			tr.options = func(o *Options) {
				o.Inherited = []handover.ListenerSocket{made, http, spare}
			}
			queued := tr.connect() // nobody accepts yet
			tr.start()
			tr.echoes(queued)
			for range 10 {
				tr.echoes(tr.connect())
			}
			if tr.logs.FilterMessage("a listening socket was passed on that the configuration has no use for; it is closed").Len() != 1 {
				t.Error("the spare socket is not closed")
			}
			conn, err := net.Dial("tcp", tr.cfg.Admin.Address)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		})
	}
}

// listenAs makes a listening socket as the service manager would pass it on.
func listenAs(t *testing.T, address netip.AddrPort, shares bool) handover.ListenerSocket {
	t.Helper()
	fd, err := sock.Listen(address, sock.ListenOptions{ReusePort: shares})
	if err != nil {
		t.Fatal(err)
	}
	return handover.ListenerSocket{Address: address, FD: fd}
}

// The service manager hears which process goes on.
func TestUpgradeTellsManager(t *testing.T) {
	g := newGenerations(t)
	notify, conn := manager(t)
	tr := g.next(same)
	upgrade := tr.options
	tr.options = func(o *Options) {
		upgrade(o)
		o.Notify = notify
	}
	tr.start()
	tr.waitLog(canTakeOver)
	hears(t, conn, "READY=1")
	g.succeed(same)
	hears(t, conn, fmt.Sprintf("MAINPID=%d", os.Getpid()))
}

// A unix socket's path is the new process's afterwards.
func TestUpgradeOfUnixSocket(t *testing.T) {
	g := newGenerations(t)
	path := filepath.Join(t.TempDir(), "admin.sock")
	g.cfg.Admin.Address = "unix://" + path
	g.first()
	for range 2 {
		g.succeed(same)
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	last := g.all[len(g.all)-1]
	last.daemon.Quit()
	last.waitEnd()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the path is left behind: %v", err)
	}
}
