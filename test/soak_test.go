package test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestSoak has everything happen at once for as long as SLUICE_SOAK says: requests,
// resets, streams and messages whose bytes are checked, slow readers, reloads that
// change everything or are rejected, upgrades in place, endpoints that come and go,
// and kills of sluice itself. Nothing may fail but what a kill or a gone endpoint explains, and
// what sluice holds stays bounded.
func TestSoak(t *testing.T) {
	w := newWorld(t)
	w.applyRules(redirect)
	serveGreeting(w, w.pod, podIP+":7000")
	serveGreeting(w, w.remote, remoteIP+":7000")
	s := startSidecar(w, soakText(0), asUpgradable(redirect))
	k := &soak{world: w, s: s, stop: make(chan struct{}), began: time.Now(), most: testSizes(t).soak}
	k.in, k.out, k.balanced = startLoad(w.client, 2, podIP+":7000"), startLoad(w.pod, 1, remoteIP+":7000"), startLoad(w.client, 2, podIP+":8081")
	k.balanced.cutOff.Store(true)
	into := func(port int) *way { return newWay(w, "inbound", w.client, w.pod, fmt.Sprintf("%s:%d", podIP, port)) }
	outOf := func(port int) *way {
		return newWay(w, "outbound", w.pod, w.remote, fmt.Sprintf("%s:%d", remoteIP, port))
	}
	for _, worker := range []func(*way){
		func(v *way) { k.live(v, (*pair).stream) }, func(v *way) { k.live(v, (*pair).chat) }, k.slowReader,
	} {
		port := 7100 + len(k.ways)
		k.ways = append(k.ways, into(port), outOf(port+1))
		for _, v := range k.ways[len(k.ways)-2:] {
			k.keep(func() { worker(v) })
		}
	}
	k.keep(k.resets)
	k.keep(k.flap(remoteIP2 + ":7002"))
	k.conduct()
	s.reload(soakText(0)) // what it holds at the end is compared with the beginning
	close(k.stop)
	k.workers.Wait()
	for _, l := range k.loads() {
		l.end(t)
	}
	k.summary()
}

// soak is a soak test that goes on.
type soak struct {
	*world
	s       *sidecar
	ways    []*way
	in, out *load
	// balanced may be cut off by the endpoint that comes and goes.
	balanced *load
	stop     chan struct{}
	workers  sync.WaitGroup
	began    time.Time
	most     time.Duration

	// epoch changes with each kill, and when sluice is back. Who sees it change was
	// cut off and is excused; while dark is set, nobody is served.
	epoch atomic.Int64
	dark  atomic.Bool

	streams, slow, reset, flaps atomic.Int64 // that ended well, or were done
	bytes                       atomic.Int64
	excused                     atomic.Int64
	reloads, rejected, kills    int
	upgrades                    int
	fds                         int
	rss                         int64
}

func (k *soak) loads() []*load { return []*load{k.in, k.out, k.balanced} }

// soakText are configurations: all keep the capturing listeners, everything else
// differs from one to the next.
func soakText(number int) string {
	tcp := fmt.Sprintf("idle_timeout: %dh", 1+number%5)
	text := sidecarText(settings{mode: redirect, tcp: tcp})
	listeners := "- {name: balanced, address: \"0.0.0.0:8081\", default_filter_chain: {name: balanced, tcp_proxy: {cluster: balanced, max_connect_attempts: 3}}}\n"
	if number%2 == 1 {
		listeners += "- {name: sometimes, address: \"0.0.0.0:8082\", default_filter_chain: {tcp_proxy: {cluster: balanced}}}\n"
	}
	policy := []string{"round_robin", "least_request", "random", "maglev"}[number%4]
	// The first endpoint is always there, the second one comes and goes.
	return withListener(text, listeners) + fmt.Sprintf("- {name: balanced, lb_policy: %s, connect_timeout: 2s, endpoints: [{address: \"%s:7000\"}, {address: \"%s:7002\"}],\n"+
		"   health_checks: [{type: tcp, interval: 500ms, timeout: 500ms, unhealthy_threshold: 1, healthy_threshold: 1}]}\n", policy, remoteIP, remoteIP2)
}

// keep does something again and again until the end.
func (k *soak) keep(do func()) {
	k.workers.Go(func() {
		for !k.over() {
			do()
		}
	})
}

func (k *soak) over() bool {
	select {
	case <-k.stop:
		return true
	default:
		return false
	}
}

// pause waits, but not beyond the end.
func (k *soak) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.stop:
	}
}

// check fails the test unless sluice was killed since the epoch began.
func (k *soak) check(epoch int64, what string, err error) {
	if err == nil {
		return
	}
	if k.epoch.Load() != epoch || k.dark.Load() {
		k.excused.Add(1)
		k.pause(20 * time.Millisecond)
		return
	}
	k.Errorf("%s, %v after the beginning: %v", what, time.Since(k.began).Round(time.Millisecond), err)
}

// open is way.open that may fail while sluice is killed.
func (k *soak) open(v *way) (client, server *net.TCPConn, err error) {
	conn, err := v.from.Dial("tcp", v.address)
	if err != nil {
		return nil, nil, err
	}
	client = conn.(*net.TCPConn)
	mark := []byte(client.LocalAddr().String() + "\n")
	if _, err := client.Write(mark); err != nil {
		client.Close()
		return nil, nil, err
	}
	for timer := time.After(patience); ; {
		select {
		case server = <-v.accepted:
		case <-timer:
			client.Close()
			return nil, nil, errors.New("the connection does not arrive at the server")
		}
		_ = server.SetReadDeadline(time.Now().Add(patience))
		got := make([]byte, len(mark))
		_, err := io.ReadFull(server, got)
		if err == nil && string(got) == string(mark) {
			return client, server, server.SetReadDeadline(time.Time{})
		}
		// Of a connection that a kill has cut off.
		server.Close()
	}
}

// live has one connection's bytes checked for a few seconds.
func (k *soak) live(v *way, how func(*pair, uint64) error) {
	epoch := k.epoch.Load()
	client, server, err := k.open(v)
	if err != nil {
		k.check(epoch, "open "+v.name, err)
		return
	}
	p := newPair(client, server)
	p.run(rand.Uint64(), func(seed uint64) error { return how(p, seed) })
	k.pause(time.Duration(1+rand.IntN(4000)) * time.Millisecond)
	err = p.end()
	client.Close()
	server.Close()
	k.check(epoch, "live connection "+v.name, err)
	k.bytes.Add(p.moved.Load())
	if err == nil {
		k.streams.Add(1)
	}
}

// slowReader reads little at a time from a sender that is always faster.
func (k *soak) slowReader(v *way) {
	epoch := k.epoch.Load()
	client, server, err := k.open(v)
	if err != nil {
		k.check(epoch, "open "+v.name, err)
		return
	}
	const size = 4 << 20
	sent := make(chan error, 1)
	go func() {
		_, err := send(server, 7, size)
		sent <- errors.Join(err, server.CloseWrite())
	}()
	want, got := pattern(7, size), 0
	buffer, expected := make([]byte, 64<<10), make([]byte, 64<<10)
	for err == nil {
		var n int
		if n, err = client.Read(buffer); n > 0 {
			if _, short := io.ReadFull(want, expected[:n]); short != nil || string(expected[:n]) != string(buffer[:n]) {
				err = fmt.Errorf("after %d bytes: not what was sent", got)
			}
			got += n
		}
		k.pause(10 * time.Millisecond)
	}
	if errors.Is(err, io.EOF) && got == size {
		err = nil
	}
	client.Close()
	server.Close()
	<-sent
	k.check(epoch, "slow reader", err)
	k.bytes.Add(int64(got))
	if err == nil {
		k.slow.Add(1)
	}
}

// resets connects and resets, at a moment that differs.
func (k *soak) resets() {
	conn, err := k.client.Dial("tcp", podIP+":7000")
	if err != nil {
		if !k.dark.Load() && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.ECONNREFUSED) {
			k.Errorf("resets: %v", err)
		}
		return
	}
	if rand.IntN(2) == 0 {
		_, _, _ = talk(conn)
	}
	_ = reset(conn.(*net.TCPConn))
	k.reset.Add(1)
	k.pause(time.Millisecond)
}

// flap is an endpoint that comes and goes; what it is serving then is reset.
func (k *soak) flap(address string) func() {
	return func() {
		var live sync.Map
		l := k.remote.Listen("tcp", address)
		var handlers sync.WaitGroup
		handlers.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				live.Store(conn, true)
				handlers.Go(func() {
					greet(conn.(*net.TCPConn))
					live.Delete(conn)
					conn.Close()
				})
			}
		})
		k.pause(time.Duration(200+rand.IntN(800)) * time.Millisecond)
		l.Close()
		k.pause(200 * time.Millisecond) // for what it serves
		live.Range(func(conn, _ any) bool {
			_ = reset(conn.(*net.TCPConn))
			return true
		})
		handlers.Wait()
		k.flaps.Add(1)
		k.pause(time.Duration(200+rand.IntN(800)) * time.Millisecond)
	}
}

// conduct reloads, kills and looks, until the time is over.
func (k *soak) conduct() {
	number := 0
	kill := time.Now().Add(k.most / 3)
	for time.Since(k.began) < k.most && !k.Failed() {
		number++
		for _, l := range k.loads() {
			l.more(k.world, 3)
		}
		switch {
		case number%10 == 5:
			k.upgrade(number)
		case number%7 == 0:
			k.reject()
		default:
			k.s.reload(soakText(number))
			k.reloads++
		}
		k.look()
		if time.Now().After(kill) && time.Since(k.began) < k.most*3/4 {
			k.kill()
			kill = time.Now().Add(min(k.most/3, time.Minute))
		}
		k.pause(100 * time.Millisecond)
	}
}

// upgrade has the next process take over, with another configuration.
func (k *soak) upgrade(number int) {
	k.s.put(soakText(number))
	k.s.succeed(asUpgradable(redirect))
	k.upgrades++
}

// reject tries a configuration that must change nothing.
func (k *soak) reject() {
	k.s.put(strings.Replace(soakText(0), "cluster: balanced", "cluster: unbalanced", 1))
	if status, body := k.s.callAdmin("POST", "/reload"); status != 400 {
		k.Errorf("a bad configuration: status %d: %s", status, body)
	}
	k.rejected++
}

// kill ends sluice by SIGKILL and starts it again.
func (k *soak) kill() {
	k.dark.Store(true)
	for _, l := range k.loads() {
		l.excused.Store(true)
	}
	k.s.process.Kill()
	k.s.checkLog()
	k.epoch.Add(1)
	k.s.put(soakText(0))
	k.s.start(asUpgradable(redirect))
	k.s.waitReady()
	for _, l := range k.loads() {
		l.without(func() { l.excused.Store(false) }) // when all that it has cut off have ended
	}
	k.epoch.Add(1) // for those that were refused meanwhile and have not said so yet
	k.dark.Store(false)
	k.kills++
}

// look checks what must hold at every moment.
func (k *soak) look() {
	const fds, rss = 500, 200 << 20
	have := k.s.process.FDs()
	k.fds, k.rss = max(k.fds, have), max(k.rss, k.s.process.RSS())
	if have > fds {
		k.Errorf("%d descriptors are open, want at most %d", have, fds)
	}
	if k.rss > rss && !raceEnabled {
		k.Errorf("%d bytes of memory, want at most %d", k.rss, rss)
	}
	k.s.checkLog()
	m := k.s.metrics()
	// Those of the process before were opened there.
	taken := m.sum("sluice_upgrade_taken_connections_total")
	total, ended, active := taken+m.sum("envoy_listener_downstream_cx_total"), m.sum("envoy_listener_downstream_cx_destroy"), m.sum("envoy_listener_downstream_cx_active")
	if total != ended+active {
		k.Errorf("%v connections were opened, %v have ended, %v are active", total, ended, active)
	}
	if panics := m.sum("sluice_loop_panics_total"); panics != 0 {
		k.Errorf("%v panics", panics)
	}
	if ready, err := k.s.ready(); !ready || err != nil {
		k.Errorf("ready: %t, %v", ready, err)
	}
}

// summary says what was done.
func (k *soak) summary() {
	var served, failed int64
	for _, l := range k.loads() {
		served, failed = served+l.served.Load(), failed+l.failed.Load()
	}
	k.Logf("soak of %v: %d connections served, %d failed, %d reset by the endpoint that went; %d live connections and %d slow readers checked, "+
		"%d MiB; %d resets; %d reloads, %d rejected; %d upgrades; %d endpoint flaps; %d kills, which cut %d checked connections off; at most %d descriptors and %d MiB of memory",
		time.Since(k.began).Round(time.Second), served, failed, k.balanced.resets.Load(), k.streams.Load(), k.slow.Load(),
		k.bytes.Load()>>20, k.reset.Load(), k.reloads, k.rejected, k.upgrades, k.flaps.Load(), k.kills, k.excused.Load(), k.fds, k.rss>>20)
	if resets, flaps := k.balanced.resets.Load(), k.flaps.Load(); resets > 10*flaps+10 {
		k.Errorf("%d connections were reset, although the endpoint went only %d times", resets, flaps)
	}
}
