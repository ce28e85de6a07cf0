package daemon

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

func TestMain(m *testing.M) { testnet.Main(m) }

// trial is a daemon in this process: a gateway to an echo server.
type trial struct {
	t       *testing.T
	cfg     *config.Config
	logs    *observer.ObservedLogs
	signals chan os.Signal
	ended   chan error
	daemon  *Daemon
	load    func() (*Loaded, error) // nil: there is nothing to reload
	options func(*Options)          // changes them; nil: not
}

func newTrial(t *testing.T) *trial {
	cfg := config.Default()
	cfg.Concurrency = 2
	cfg.Admin.Address, cfg.Metrics.Address, cfg.Readiness.Address = testnet.ClosedPort(t).String(), "", ""
	cfg.Drain.Time, cfg.Drain.MinTime = 30*time.Second, 0
	upstream := config.DefaultCluster()
	upstream.Name, upstream.Type = "app", config.ClusterStatic
	upstream.Endpoints = []config.Endpoint{{Address: config.Address(echoServer(t)), Weight: 1}}
	ln := config.DefaultListener()
	ln.Name, ln.Address = "gateway", testnet.ClosedPort(t)
	chain := config.DefaultFilterChain()
	chain.Name, chain.TCPProxy.Cluster = "to-app", "app"
	ln.DefaultFilterChain = &chain
	cfg.Listeners, cfg.Clusters = []config.Listener{ln}, []config.Cluster{upstream}
	return &trial{t: t, cfg: &cfg, signals: make(chan os.Signal, 4), ended: make(chan error, 1)}
}

func (tr *trial) start() {
	tr.t.Helper()
	tr.launch()
	tr.waitLog("ready")
}

// launch is start without waiting.
func (tr *trial) launch() {
	tr.t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	tr.logs = logs
	var err error
	o := Options{
		Loaded: Loaded{Config: tr.cfg, Dump: func() any { return nil }}, Load: tr.load, Source: "test", Log: zap.New(core), Level: zap.NewAtomicLevel(), Version: "test",
	}
	if tr.options != nil {
		tr.options(&o)
	}
	tr.daemon, err = New(o)
	if err != nil {
		tr.t.Fatal(err)
	}
	go func() { tr.ended <- tr.daemon.Run(tr.signals) }()
	tr.t.Cleanup(tr.daemon.Quit)
}

func (tr *trial) waitLog(message string) {
	tr.t.Helper()
	defer func() {
		if tr.t.Failed() {
			for _, entry := range tr.logs.All() {
				tr.t.Logf("%s %s %v", entry.Time.Format("05.000"), entry.Message, entry.ContextMap())
			}
		}
	}()
	eventually(tr.t, "the log says "+message, func() bool {
		select {
		case err := <-tr.ended:
			tr.ended <- err
			if tr.logs.FilterMessage(message).Len() == 0 {
				tr.t.Fatalf("the daemon has ended, with %v", err)
			}
		default:
		}
		return tr.logs.FilterMessage(message).Len() > 0
	})
}

func (tr *trial) waitEnd() {
	tr.t.Helper()
	select {
	case err := <-tr.ended:
		if err != nil {
			tr.t.Fatal(err)
		}
	case <-time.After(time.Minute):
		tr.t.Fatal("the daemon has not ended within a minute")
	}
}

func (tr *trial) connect() net.Conn {
	tr.t.Helper()
	conn, err := net.Dial("tcp", tr.cfg.Listeners[0].Address.String())
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// connectMany makes connections that echo.
func (tr *trial) connectMany(n int) []net.Conn {
	tr.t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = tr.connect()
		tr.echoes(conns[i])
	}
	return conns
}

func (tr *trial) echoes(conns ...net.Conn) {
	tr.t.Helper()
	for _, conn := range conns {
		if _, err := conn.Write([]byte("hello")); err != nil {
			tr.t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
			tr.t.Fatal(err)
		}
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	testnet.Eventually(t, time.Minute, func() error {
		if !holds() {
			return errors.New(what)
		}
		return nil
	})
}

func echoServer(t *testing.T) netip.AddrPort {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				// Hidden types: net would splice, and keep the pipe open.
				io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn})
			}()
		}
	}()
	return server.Addr().(*net.TCPAddr).AddrPort()
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestRunAndQuitLeaveNothing(t *testing.T) {
	tr := newTrial(t)
	before := descriptors(t)
	tr.start()
	conn := tr.connect()
	tr.echoes(conn)
	conn.Close()
	tr.daemon.Quit()
	tr.waitEnd()
	eventually(t, "all descriptors are closed", func() bool { return descriptors(t) <= before })
}

func TestDrainWaitsForConnections(t *testing.T) {
	tr := newTrial(t)
	tr.start()
	conn := tr.connect()
	tr.echoes(conn)
	tr.signals <- syscall.SIGTERM
	tr.waitLog("draining")
	eventually(t, "new connections are refused", func() bool {
		other, err := net.Dial("tcp", tr.cfg.Listeners[0].Address.String())
		if err == nil {
			other.Close()
		}
		return err != nil
	})
	tr.echoes(conn) // the live one goes on
	conn.Close()
	tr.waitEnd()
	if n := tr.logs.FilterMessage("drained").All()[0].ContextMap()["reset"]; n != int64(0) {
		t.Errorf("%v connections were reset, want none", n)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	tr := newTrial(t)
	tr.start()
	conn := tr.connect()
	tr.echoes(conn)
	tr.signals <- syscall.SIGTERM
	tr.waitLog("draining")
	tr.signals <- syscall.SIGINT
	tr.waitEnd()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection lives on")
	}
}

func TestDrainDeadlineResets(t *testing.T) {
	tr := newTrial(t)
	tr.cfg.Drain.Time = 50 * time.Millisecond
	tr.start()
	conn := tr.connect()
	tr.echoes(conn)
	tr.signals <- syscall.SIGTERM
	tr.waitEnd()
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("the client sees %v, want a reset", err)
	}
}

func TestOtherSignalsChangeNothing(t *testing.T) {
	tr := newTrial(t)
	tr.start()
	conn := tr.connect()
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} { // none of them can do its work here
		tr.signals <- s
	}
	eventually(t, "the signals were seen", func() bool {
		return tr.logs.FilterMessage("upgrade: this process goes on").Len() == 1 &&
			tr.logs.FilterMessage("reload: nothing has changed").Len() == 1 // there is no file
	})
	tr.echoes(conn)
}

func TestTakenAddressIsNamed(t *testing.T) {
	cases := []struct {
		name  string
		taken func(*config.Config) string
		want  []string
	}{
		{"of a listener", func(c *config.Config) string { return c.Listeners[0].Address.String() }, []string{"listener gateway", "ss -ltnp"}},
		{"of the admin API", func(c *config.Config) string { return c.Admin.Address }, []string{"admin.address", "ss -ltnp"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			tr := newTrial(t)
			address := tc.taken(tr.cfg)
			other, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			before := descriptors(t)
			d, err := New(Options{Loaded: Loaded{Config: tr.cfg}, Log: zap.NewNop(), Level: zap.NewAtomicLevel()})
			if err != nil {
				t.Fatal(err)
			}
			err = d.Run(nil)
			for _, want := range append(tc.want, address) {
				if !strings.Contains(fmt.Sprint(err), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			eventually(t, "all descriptors are closed", func() bool { return descriptors(t) <= before })
		})
	}
}

// Two daemons of one user could share a port by SO_REUSEPORT, and each would get
// half of the connections.
func TestSecondDaemonDoesNotShareThePort(t *testing.T) {
	tr := newTrial(t)
	tr.start()
	second := *tr.cfg
	second.Admin.Address = testnet.ClosedPort(t).String()
	d, err := New(Options{Loaded: Loaded{Config: &second}, Log: zap.NewNop(), Level: zap.NewAtomicLevel()})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(nil); err == nil || !strings.Contains(err.Error(), "listener gateway") {
		t.Errorf("second daemon: %v, want an error about the listener's address", err)
	}
}

func TestPrepare(t *testing.T) {
	tr := newTrial(t)
	ln := &tr.cfg.Listeners[0]
	for _, name := range []string{"one", "two"} {
		chain := config.DefaultFilterChain()
		chain.Name, chain.TCPProxy.Cluster, chain.Match.DestinationPort = name, "app", 80
		ln.FilterChains = append(ln.FilterChains, chain)
	}
	bad := config.DefaultAccessLog()
	bad.Path, bad.Format = "/dev/null", "%NO_SUCH_OPERATOR%"
	ln.FilterChains[1].AccessLog = []config.AccessLog{bad}
	var paths []string
	for _, p := range Prepare(tr.cfg) {
		paths = append(paths, p.Path)
	}
	want := "[listeners[0].filter_chains[1].match listeners[0].filter_chains[1].access_log[0].format]"
	if got := fmt.Sprint(paths); got != want {
		t.Errorf("problems at %s, want %s", got, want)
	}
	if _, err := New(Options{Loaded: Loaded{Config: tr.cfg}, Log: zap.NewNop(), Level: zap.NewAtomicLevel()}); err == nil {
		t.Error("a daemon was made of it")
	}
}
