package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// listeningSockets is how many a sidecar of sidecarText has: four listeners on two
// loops.
const listeningSockets = 8

// storeWorld is a captured pod whose sidecar has a store.
func storeWorld(t *testing.T, make func(*world) *keeper) (*world, *sidecar, *keeper) {
	t.Helper()
	w := newWorld(t)
	serveGreeting(w, w.pod, podIP+":7000")
	w.applyRules(redirect)
	k := make(w)
	l := k.launch()
	s := startSidecar(w, sidecarText(settings{mode: redirect}), l)
	l.closed()
	return w, s, k
}

// waitStored waits until so many connections are in the store.
func (s *sidecar) waitStored(connections int) {
	s.w.Helper()
	s.waitMetric(float64(connections+listeningSockets), "sluice_store_entries")
}

// waitHeld waits until the keeper has so many sockets.
func (k *keeper) waitHeld(w *world, want int) {
	w.Helper()
	w.eventually(func() error {
		if n := k.held(); n != want {
			return fmt.Errorf("%s holds %d sockets, want %d", k.name, n, want)
		}
		return nil
	})
}

// echo has a connection to serveGreeting say something of its own.
func echo(conn net.Conn, number int) error {
	message := fmt.Sprintf("this is connection %d\n", number)
	if _, err := io.WriteString(conn, message); err != nil {
		return err
	}
	back := make([]byte, len(message))
	if _, err := io.ReadFull(conn, back); err != nil {
		return err
	}
	if string(back) != message {
		return fmt.Errorf("the echo of %q is %q", message, back)
	}
	return nil
}

// TestKillWithStore kills a sidecar whose sockets are in a store. The next one goes on
// with its connections.
func TestKillWithStore(t *testing.T) {
	t.Parallel()
	for name, make := range keepers() {
		t.Run(name, func(t *testing.T) {
			t.Run("idle", func(t *testing.T) { killIdle(t, make) })
			t.Run("streams", func(t *testing.T) { killStreams(t, make) })
			t.Run("peers leave", func(t *testing.T) { killAndLeave(t, make) })
		})
	}
}

// killIdle has connections that rest at the moment of the kill: all go on.
func killIdle(t *testing.T, make func(*world) *keeper) {
	w, s, k := storeWorld(t, make)
	size := testSizes(t).stored
	conns := openMany(w, podIP+":7000", size)
	if len(conns) != size {
		t.Fatalf("%d connections are open, want %d", len(conns), size)
	}
	for _, conn := range conns {
		own(w, conn)
	}
	echoAll := func(when string) {
		t.Helper()
		var all sync.WaitGroup
		for i, conn := range conns {
			all.Go(func() {
				if err := echo(conn, i); err != nil {
					t.Errorf("%s: connection %d: %v", when, i, err)
				}
			})
		}
		all.Wait()
	}
	s.waitStored(size)
	echoAll("before")
	for kill := range 2 {
		s.process.Kill()
		after := s.startAgain(k)
		s.waitMetric(float64(size), "sluice_store_takeover_total", `outcome="recovered"`)
		t.Logf("%s, kill %d: %d connections went on; ready after %v", k.name, kill, size, after)
		echoAll(fmt.Sprintf("after kill %d", kill))
		converse(s, w.client, podIP+":7000")
	}
	s.waitStored(size)
	s.waitMetric(float64(size), "envoy_listener_downstream_cx_active")
	for i, conn := range conns {
		if i%2 == 0 {
			conn.CloseWrite()
			wantEnd(t, conn)
		} else if err := reset(conn); err != nil {
			t.Error(err)
		}
	}
	s.waitStored(0)
	held := listeningSockets
	if k.name == "hold" {
		held++ // the sidecar's connection
	}
	k.waitHeld(w, held)
	if code := s.process.Stop(); code != 0 {
		t.Errorf("status %d", code)
	}
	s.gone = true
	k.waitHeld(w, 0)
}

// livesAtOnce is how many connections killStreams kills at a time.
const livesAtOnce = 12

// killStreams has bytes on their way at the moment of the kill. Each connection goes
// on with every byte, or is reset.
func killStreams(t *testing.T, make func(*world) *keeper) {
	w, s, k := storeWorld(t, make)
	v := newWay(w, "", w.client, w.pod, podIP+":7001")
	recovered, cut := 0, 0
	rounds := testSizes(t).crashes
	for round := range rounds {
		var lives []*life
		for i := range livesAtOnce {
			client, server := v.open(w)
			lives = append(lives, startLife(client, server, habit(i)%habits, uint64(100*round+i)))
		}
		s.waitStored(len(lives))
		for _, l := range lives {
			if l.habit == clogs || l.habit == rests {
				<-l.calm
			}
		}
		s.process.Kill()
		s.startAgain(k)
		for i, l := range lives {
			name := fmt.Sprintf("%s, kill %d, connection %d (habit %d)", k.name, round, i, l.habit)
			wentOn, err := l.finish(w)
			switch {
			case err != nil:
				t.Errorf("%s: %v", name, err)
			case wentOn:
				recovered++
			case l.habit == rests:
				t.Errorf("%s was at rest, and is reset", name)
			default:
				cut++
			}
		}
		s.waitStored(0)
	}
	if recovered == 0 || cut == 0 {
		t.Errorf("%d went on and %d were reset: only one of the two was seen", recovered, cut)
	}
	t.Logf("%s: of %d connections with bytes on their way %d went on, and %d were reset", k.name, livesAtOnce*rounds, recovered, cut)
}

// killAndLeave has peers go while there is no sidecar.
func killAndLeave(t *testing.T, make func(*world) *keeper) {
	w, s, k := storeWorld(t, make)
	v := newWay(w, "", w.client, w.pod, podIP+":7001")
	type ends struct{ near, far *net.TCPConn }
	open := func() ends {
		client, server := v.open(w)
		write(t, client, []byte("hello"))
		readFull(t, server, 5)
		return ends{client, server}
	}
	swap := func(e ends) ends { return ends{e.far, e.near} }
	fins := []ends{open(), swap(open())}
	resets := []ends{open(), swap(open())}
	halves := []ends{open(), swap(open())}
	for _, e := range halves {
		e.near.CloseWrite()
		wantEnd(t, e.far)
	}
	s.waitStored(6)
	s.process.Kill()
	for _, e := range fins {
		write(t, e.near, []byte("last words"))
		e.near.CloseWrite()
	}
	for _, e := range resets {
		if err := reset(e.near); err != nil {
			t.Error(err)
		}
	}
	for _, e := range halves {
		write(t, e.far, []byte("the rest"))
	}
	s.startAgain(k)
	for _, e := range fins {
		if got := wantEnd(t, e.far); string(got) != "last words" {
			t.Errorf("after FIN: %q", got)
		}
		write(t, e.far, []byte("good bye"))
		e.far.CloseWrite()
		if got := wantEnd(t, e.near); string(got) != "good bye" {
			t.Errorf("in answer to FIN: %q", got)
		}
	}
	for _, e := range resets {
		wantReset(t, e.far)
	}
	for _, e := range halves {
		e.far.CloseWrite()
		if got := wantEnd(t, e.near); string(got) != "the rest" {
			t.Errorf("half closed: %q", got)
		}
	}
	s.waitStored(0)
}

// TestHolderKilled has sluice hold killed, started anew and stopped for a while under
// a sidecar, which does not mind, and gives the new one all that it has.
func TestHolderKilled(t *testing.T) {
	t.Parallel()
	var h *holderProcess
	w, s, k := storeWorld(t, func(w *world) *keeper {
		h = newHolding(w)
		return h.keeper()
	})
	conns := openMany(w, podIP+":7000", 20)
	for _, conn := range conns {
		own(w, conn)
	}
	s.waitStored(20)
	h.process.Kill()
	s.waitMetric(0, "sluice_store_connected")
	converse(s, w.client, podIP+":7000")
	reset(conns[0])
	h.start()
	s.waitStored(19)
	k.waitHeld(w, 2*19+listeningSockets+1)

	// One that does not answer.
	h.process.Signal(syscall.SIGSTOP)
	if err := echo(conns[1], 1); err != nil {
		t.Error(err)
	}
	conns[1].CloseWrite()
	wantEnd(t, conns[1])
	reset(conns[2])
	converse(s, w.client, podIP+":7000")
	s.waitMetric(17, "envoy_listener_downstream_cx_active")
	h.process.Signal(syscall.SIGCONT)
	s.waitStored(17)
	k.waitHeld(w, 2*17+listeningSockets+1)

	s.process.Kill()
	s.startAgain(k)
	for i, conn := range conns[3:] {
		if err := echo(conn, i); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
		conn.Close()
	}
	s.waitStored(0)

	log := failingStart(w, gatewayText("", gateway{name: "other", port: 8081}), launch{host: w.remote, uid: sidecarID, env: k.launch().env})
	wantText(t, log, "another daemon is connected")
}

// TestDrainWithStore has a sidecar end with its sockets in a store: the ports are
// closed at once, live connections have their time, and nothing stays.
func TestDrainWithStore(t *testing.T) {
	t.Parallel()
	for name, make := range keepers() {
		t.Run(name, func(t *testing.T) {
			w, s, k := storeWorld(t, make)
			conns := openMany(w, podIP+":7000", 2)
			for _, conn := range conns {
				own(w, conn)
			}
			s.waitStored(2)
			s.signal(syscall.SIGTERM)
			s.waitInboundClosed()
			for i, conn := range conns {
				if err := echo(conn, i); err != nil {
					t.Errorf("connection %d: %v", i, err)
				}
			}
			conns[0].CloseWrite()
			wantEnd(t, conns[0])
			s.signal(syscall.SIGTERM)
			wantReset(t, conns[1])
			if code := s.waitEnd(); code != 0 {
				t.Errorf("status %d", code)
			}
			k.waitHeld(w, 0)
			if _, err := os.Stat(s.accessLog); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReloadWithStore removes a listener: its port is closed although the store had
// the socket.
func TestReloadWithStore(t *testing.T) {
	t.Parallel()
	w, s, k := storeWorld(t, keepers()["hold"])
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	more := withListener(string(text), "- {name: extra, address: 0.0.0.0:8081, default_filter_chain: {tcp_proxy: {cluster: Passthrough}}}\n")
	for _, step := range []struct {
		text   string
		extra  int
		refuse bool
	}{{more, 2, false}, {string(text), 0, true}} {
		if err := os.WriteFile(s.file, []byte(step.text), 0o644); err != nil {
			t.Fatal(err)
		}
		w.pod.Run("curl", "-sS", "--fail", "-X", "POST", "http://127.0.0.1:15000/reload")
		k.waitHeld(w, listeningSockets+step.extra+1)
		conn, err := w.pod.Dial("tcp", "127.0.0.1:8081")
		if err == nil {
			conn.Close()
		}
		if errors.Is(err, syscall.ECONNREFUSED) != step.refuse {
			t.Errorf("connecting to the extra port: %v", err)
		}
	}
}

// TestUpgradeWithStore upgrades sidecars whose sockets are in a store, with
// connections that talk. Then the last one is killed: the store has what it needs to
// go on, and nothing else.
func TestUpgradeWithStore(t *testing.T) {
	t.Parallel()
	for name, make := range keepers() {
		t.Run(name, func(t *testing.T) {
			w, s, k := storeWorld(t, func(w *world) *keeper {
				k := make(w)
				inner := k.launch
				k.launch = func() launch {
					l := inner()
					l.env = append(l.env, "SLUICE_TAKEOVER=@sluice")
					return l
				}
				return k
			})
			const resting, talking = 30, 20
			conns := openMany(w, podIP+":7000", resting)
			for _, conn := range conns {
				own(w, conn)
			}
			live := newTide(w, newWay(w, "", w.client, w.pod, podIP+":7001"), talking, 0, 20*time.Millisecond)
			s.waitStored(resting + talking)
			for range 2 {
				l := k.launch()
				l.closed() // systemd passes sockets to what it starts itself
				l.before, l.env = nil, slices.DeleteFunc(l.env, func(variable string) bool { return strings.HasPrefix(variable, "LISTEN_") })
				s.succeed(l)
				s.waitStored(resting + talking)
			}
			live.end()
			s.waitStored(resting)
			s.process.Kill()
			s.startAgain(k)
			s.waitMetric(resting, "sluice_store_takeover_total", `outcome="recovered"`)
			s.waitMetric(0, "sluice_store_takeover_total", `outcome="reset"`)
			for i, conn := range conns {
				if err := echo(conn, i); err != nil {
					t.Errorf("connection %d: %v", i, err)
				}
				conn.Close()
			}
			s.waitStored(0)
			if code := s.process.Stop(); code != 0 {
				t.Errorf("status %d", code)
			}
			s.gone = true
			k.waitHeld(w, 0)
		})
	}
}

// TestUpgradeRemovesStoredListener upgrades to a configuration without a listener whose
// sockets are in a store: the port is closed.
func TestUpgradeRemovesStoredListener(t *testing.T) {
	t.Parallel()
	for name, make := range keepers() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			serveGreeting(w, w.remote, remoteIP+":7000")
			k := make(w)
			gateways := []gateway{{name: "stays", port: 8081, endpoints: []string{remoteIP + ":7000"}}, {name: "goes", port: 8082, endpoints: []string{remoteIP + ":7000"}}}
			l := k.launch()
			l.env = append(l.env, "SLUICE_TAKEOVER=@sluice")
			s := startSidecar(w, gatewayText(quickDrain, gateways...), l)
			l.closed()
			s.waitMetric(4, "sluice_store_entries")
			clients(w, podIP+":8082", 3).Wait()
			s.put(gatewayText(quickDrain, gateways[0]))
			l.before, l.env = nil, slices.DeleteFunc(l.env, func(variable string) bool { return strings.HasPrefix(variable, "LISTEN_") })
			s.succeed(l)
			s.waitMetric(2, "sluice_store_entries")
			w.eventually(func() error {
				conn, err := w.client.Dial("tcp", podIP+":8082")
				if err == nil {
					conn.Close()
				}
				if !errors.Is(err, syscall.ECONNREFUSED) {
					return fmt.Errorf("the port is still there: %v", err)
				}
				return nil
			})
			clients(w, podIP+":8081", 3).Wait()
		})
	}
}
