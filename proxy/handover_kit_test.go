package proxy

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// succession is two workbenches with one configuration, as two processes have,
// and a server whose end of each connection the test holds.
type succession struct {
	t        *testing.T
	old, new *workbench
	server   *net.TCPListener
	logs     [2]string // files of the two access logs
}

func newSuccession(t *testing.T, change func(*config.Listener)) *succession {
	t.Helper()
	expectNoDescriptors(t)
	server, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { server.Close() })
	s := &succession{t: t, server: server}
	make := func(i int) *workbench {
		s.logs[i] = filepath.Join(t.TempDir(), "access.log")
		return newWorkbenchTo(t, server.Addr().(*net.TCPAddr).AddrPort(), func(ln *config.Listener) {
			log := config.DefaultAccessLog()
			log.Path, log.FlushInterval = s.logs[i], time.Millisecond
			log.Format = "%LISTENER% %FILTER_CHAIN_NAME% %UPSTREAM_CLUSTER% %BYTES_RECEIVED% %BYTES_SENT% %CLOSED_BY% %CLOSE_REASON% %ENGINE%\n"
			ln.DefaultFilterChain.AccessLog = []config.AccessLog{log}
			change(ln)
		})
	}
	s.old, s.new = make(0), make(1)
	return s
}

// expectNoDescriptors looks, when all else is cleaned up, whether some are left.
func expectNoDescriptors(t *testing.T) {
	t.Helper()
	first, err := net.Listen("tcp", "127.0.0.1:0") // has the runtime open its own
	must(t, err)
	first.Close()
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(entries)
	}
	before := open()
	t.Cleanup(func() {
		testnet.Eventually(t, patienceOfTests, func() error {
			if n := open(); n > before {
				return fmt.Errorf("%d descriptors are open, %d were before", n, before)
			}
			return nil
		})
	})
}

func plain(*config.Listener) {}

// connect makes a connection through the old one: both ends of it.
func (s *succession) connect() (client, server *net.TCPConn) {
	s.t.Helper()
	client = s.old.connect(s.old.chains).(*net.TCPConn)
	must(s.t, s.server.SetDeadline(time.Now().Add(patienceOfTests)))
	server, err := s.server.AcceptTCP()
	must(s.t, err)
	s.t.Cleanup(func() { server.Close() })
	must(s.t, server.SetDeadline(time.Now().Add(hung)))
	must(s.t, client.SetDeadline(time.Now().Add(hung)))
	s.old.eventually("the connection is relayed", func() bool { return s.old.relaying() == s.old.live() })
	return client, server
}

func (w *workbench) relaying() (n int) {
	w.loop.Do(func() {
		w.worker.each(func(c *Connection) {
			if c.state == relaying {
				n++
			}
		})
	})
	return n
}

func (w *workbench) export(limit int) (list []Exported) {
	w.loop.Do(func() { list = w.worker.Export(limit, w.table) })
	return list
}

func (w *workbench) takeBack(list []Exported) {
	for _, e := range list {
		w.loop.Do(func() { w.worker.TakeBack(e) })
	}
}

func (w *workbench) take(conn *handover.Connection) (err error) {
	w.loop.Do(func() { err = w.worker.Import(conn, w.homes) })
	return err
}

// sent is what arrives of a connection in another process: other descriptors, and
// times without a monotonic clock.
func sent(t *testing.T, e Exported) *handover.Connection {
	t.Helper()
	bare := e.Connection
	bare.FromDownstream.Waiting, bare.FromUpstream.Waiting = nil, nil // in JSON they take long
	text, err := json.Marshal(bare)
	must(t, err)
	arrived := new(handover.Connection)
	must(t, json.Unmarshal(text, arrived))
	arrived.FromDownstream.Waiting, arrived.FromUpstream.Waiting = e.FromDownstream.Waiting, e.FromUpstream.Waiting
	arrived.Downstream, arrived.Upstream = twin(t, e.Downstream), twin(t, e.Upstream)
	return arrived
}

// pass moves all that can be moved from one to the other, and says how much.
func pass(t *testing.T, from, to *workbench) int {
	t.Helper()
	list := from.export(1 << 20)
	for _, e := range list {
		must(t, to.take(sent(t, e)))
		e.close()
	}
	return len(list)
}

func (e *Exported) close() {
	sock.Close(e.Downstream)
	sock.Close(e.Upstream)
}

// line waits for the one line of an access log.
func (s *succession) line(i int) (line string) {
	s.t.Helper()
	s.old.eventually("an access-log line", func() bool {
		text, err := os.ReadFile(s.logs[i])
		line = string(text)
		return err == nil && strings.HasSuffix(line, "\n")
	})
	return strings.TrimSuffix(line, "\n")
}

func (s *succession) expectNoLine(i int) {
	s.t.Helper()
	if text, err := os.ReadFile(s.logs[i]); err == nil && len(text) > 0 {
		s.t.Errorf("the access log has %q", text)
	}
}

// places is all that live connections hold, as somebody counts it.
type places struct {
	process, listener, load, cluster, endpoint, chain, sources  int64
	listenerGauge, loopGauge, tcpGauge, clusterGauge, gateGauge int64
}

func (w *workbench) places() (p places) {
	chain := w.chains.fallback
	upstream := chain.routes[0].cluster
	gauge := func(g stats.Gauge) int64 { return int64(w.counted(stats.Counter(g))) }
	p = places{
		process: w.limits.Active(), listener: w.ln.Active(), load: w.loop.Load(),
		cluster: upstream.Admitted(), endpoint: upstream.Endpoints()[0].ActiveConnections,
		sources: w.limits.Sources.Tracked(), listenerGauge: gauge(w.ln.Stats.CxActive),
		loopGauge: gauge(w.loop.Stats.Connections), tcpGauge: gauge(chain.tcp.CxActive), clusterGauge: gauge(upstream.Stats.CxActive),
	}
	if chain.gate.limit != nil {
		p.chain, p.gateGauge = chain.gate.limit.Active(), gauge(chain.gate.limitSeen.Active)
	}
	return p
}

func (w *workbench) expectPlaces(want places) {
	w.t.Helper()
	if got := w.places(); got != want {
		w.t.Errorf("places\n%+v, want\n%+v", got, want)
	}
}

// of n connections from one source.
func placesOf(n int64) places {
	return places{n, n, n, n, n, n, min(n, 1), n, n, n, n, n}
}

func addressOf(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// twin is another descriptor of what fd stands for.
func twin(t *testing.T, fd int) int {
	t.Helper()
	other, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	return other
}
