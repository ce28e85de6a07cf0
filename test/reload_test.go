package test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// put replaces the configuration file by renaming another over it, so that
// nobody sees half of it.
func (s *sidecar) put(text string) {
	s.w.Helper()
	next := s.file + ".next"
	err := os.WriteFile(next, []byte(strings.ReplaceAll(text, "$LOG", s.accessLog)), 0o644)
	if err := errors.Join(err, os.Rename(next, s.file)); err != nil {
		s.w.Fatal(err)
	}
}

// rewrite changes the configuration file by one write, as long as what was there
// before: nobody sees half of it.
func (s *sidecar) rewrite(text string) {
	s.w.Helper()
	file, err := os.OpenFile(s.file, os.O_WRONLY, 0)
	if err != nil {
		s.w.Fatal(err)
	}
	_, err = file.WriteString(strings.ReplaceAll(text, "$LOG", s.accessLog))
	if err := errors.Join(err, file.Close()); err != nil {
		s.w.Fatal(err)
	}
}

// reloads is how many reloads had a result, success or failure.
func (s *sidecar) reloads(result string) float64 {
	s.w.Helper()
	return s.metrics().sum("sluice_config_reload_total", fmt.Sprintf("result=%q", result))
}

// reloaded does what makes sluice reload, and waits until it has.
func (s *sidecar) reloaded(by func()) {
	s.w.Helper()
	before := s.reloads("success")
	by()
	s.waitMetric(before+1, "sluice_config_reload_total", `result="success"`)
}

// reload gives sluice another configuration by SIGHUP.
func (s *sidecar) reload(text string) {
	s.w.Helper()
	s.put(text)
	s.reloaded(func() { s.signal(syscall.SIGHUP) })
}

// callAdmin asks the admin API, by any method.
func (s *sidecar) callAdmin(method, path string) (status int, body string) {
	s.w.Helper()
	status, body, err := s.ask(s.host, method, "http://127.0.0.1:15000"+path)
	if err != nil {
		s.w.Fatalf("%s %s: %v", method, path, err)
	}
	return status, body
}

// twoPlaces are configurations of one gateway, which leads to one endpoint or to
// another.
func twoPlaces() [2]string {
	return [2]string{
		gatewayText(quickDrain, gateway{name: "g", port: 8081, endpoints: []string{remoteIP + ":7000"}}),
		gatewayText(quickDrain, gateway{name: "g", port: 8081, endpoints: []string{remoteIP2 + ":7000"}}),
	}
}

// mount puts a configuration where the file is, as kubelet mounts a ConfigMap: a
// link into a directory that is a link, which is swapped.
func (s *sidecar) mount(version, text string) {
	s.w.Helper()
	dir := filepath.Dir(s.file)
	data := filepath.Join(dir, version)
	err := errors.Join(os.Mkdir(data, 0o755),
		os.WriteFile(filepath.Join(data, "sluice.yaml"), []byte(strings.ReplaceAll(text, "$LOG", s.accessLog)), 0o644),
		os.Symlink(version, filepath.Join(dir, "..data_tmp")),
		os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	if err == nil && !isLink(s.file) {
		link := filepath.Join(dir, "link")
		err = errors.Join(os.Symlink("..data/sluice.yaml", link), os.Rename(link, s.file))
	}
	if err != nil {
		s.w.Fatal(err)
	}
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == os.ModeSymlink
}

// TestReloadWays reloads in every way there is. Each time new connections follow
// the new configuration, and those of before echo on.
func TestReloadWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000", remoteIP2+":7000")
	places := twoPlaces()
	watching := asSidecar(redirect)
	watching.env = []string{"SLUICE_WATCH=true"}
	for _, tc := range []struct {
		name   string
		launch launch
		by     func(s *sidecar, number int, text string)
	}{
		{"SIGHUP", asSidecar(redirect), func(s *sidecar, _ int, text string) {
			s.put(text)
			s.signal(syscall.SIGHUP)
		}},
		{"POST", asSidecar(redirect), func(s *sidecar, _ int, text string) {
			s.put(text)
			if status, body := s.callAdmin("POST", "/reload"); status != http.StatusOK || body != "reloaded\n" {
				s.w.Errorf("status %d: %s", status, body)
			}
		}},
		{"file renamed over", watching, func(s *sidecar, _ int, text string) { s.put(text) }},
		{"file written in place", watching, func(s *sidecar, _ int, text string) {
			s.rewrite(text)
		}},
		{"ConfigMap", watching, func(s *sidecar, number int, text string) { s.mount(fmt.Sprintf("..v%d", number), text) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := startSidecar(w.at(t), places[0], tc.launch)
			var conns []net.Conn
			for number := range 3 {
				conn := dial(s.w, w.client, podIP+":8081")
				want := []string{remoteIP + ":7000", remoteIP2 + ":7000"}[number%2]
				if server, _, err := talk(conn); err != nil || server != want {
					t.Errorf("after %d reloads: served by %s (%v), want %s", number, server, err, want)
				}
				conns = append(conns, conn)
				s.reloaded(func() { tc.by(s, number, places[(number+1)%2]) })
			}
			for number, conn := range conns {
				write(t, conn, []byte("still there"))
				if got := readFull(t, conn, len("still there")); string(got) != "still there" {
					t.Errorf("the connection of before reload %d: %q", number+1, got)
				}
				conn.Close()
			}
			if s.reloads("failure") != 0 {
				t.Error("a reload has failed")
			}
		})
	}
}

// TestReloadKeepsConnections changes every chain 20 times under live connections:
// streams that are spliced, and messages that are copied. No byte is lost, and
// each keeps the chain that it was given.
func TestReloadKeepsConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	text := func(number int) string {
		return sidecarText(settings{mode: redirect, tcp: fmt.Sprintf("idle_timeout: %dh", number+1)})
	}
	s := startSidecar(w, text(0), asSidecar(redirect))
	ways := []*way{newWay(w, "inbound", w.client, w.pod, podIP+":7000"), newWay(w, "outbound", w.pod, w.remote, remoteIP+":7000")}
	var streams, chats []*pair
	for _, v := range ways {
		for range 2 {
			streams, chats = append(streams, openPair(w, v)), append(chats, openPair(w, v))
		}
	}
	for i := range streams {
		streams[i].run(uint64(i), streams[i].stream)
		chats[i].run(uint64(i), chats[i].chat)
	}
	const reloads = 20
	for number := range reloads {
		before := movedBy(streams, chats)
		s.reload(text(number + 1))
		w.eventually(func() error {
			for i, now := range movedBy(streams, chats) {
				if now == before[i] {
					return fmt.Errorf("connection %d moves no bytes after reload %d", i, number+1)
				}
			}
			return nil
		})
	}
	for i, list := range [][]*pair{streams, chats} {
		for _, p := range list {
			p.finish(w)
			engine := []string{"splice", "copy"}[i]
			if r := s.ended(p.client); r.Engine != engine || r.ending() != byClient || r.BytesReceived != p.moved.Load() {
				t.Errorf("record %+v, want engine %s and %d bytes", r, engine, p.moved.Load())
			}
		}
	}
}

func movedBy(lists ...[]*pair) []int64 {
	var all []int64
	for _, list := range lists {
		for _, p := range list {
			all = append(all, p.moved.Load())
		}
	}
	return all
}

// TestReloadKeepsQueue has connections wait in the kernel's queue while a
// listener that stays is reloaded: all are served.
func TestReloadKeepsQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000", remoteIP2+":7000")
	places := twoPlaces()
	s := startSidecar(w, places[0], asSidecar(redirect))
	for round := range 4 {
		s.put(places[(round+1)%2])
		s.reloaded(func() { queued(s, podIP+":8081", 300, syscall.SIGHUP) })
	}
}

// queued has clients wait in the queue of a stopped sluice when a signal comes.
// All must be served.
func queued(s *sidecar, address string, clients int, signal syscall.Signal) {
	s.w.Helper()
	s.signal(syscall.SIGSTOP)
	var all sync.WaitGroup
	var served atomic.Int32
	for range clients {
		conn := dial(s.w, s.w.client, address) // the kernel answers
		all.Go(func() {
			if _, _, err := talk(conn); err != nil {
				s.w.Errorf("a queued connection: %v", err)
				return
			}
			conn.Close()
			served.Add(1)
		})
	}
	s.signal(signal)
	s.signal(syscall.SIGCONT)
	all.Wait()
	if int(served.Load()) != clients {
		s.w.Errorf("%d of %d queued connections were served", served.Load(), clients)
	}
}

// TestReloadRemovesListener takes a listener away: what waits in its queue is
// served, what is live has drain.time to end, nobody new is let in. Then it comes
// back.
func TestReloadRemovesListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000")
	endpoints := []string{remoteIP + ":7000"}
	stays, goes := gateway{name: "stays", port: 8081, endpoints: endpoints}, gateway{name: "goes", port: 8082, endpoints: endpoints}
	const drain = "drain: {time: 8s, min_time: 0s, strategy: immediate}\n"
	both, one := gatewayText(drain, stays, goes), gatewayText(drain, stays)
	s := startSidecar(w, both, asSidecar(redirect))
	var conns []net.Conn
	for _, address := range []string{podIP + ":8081", podIP + ":8082", podIP + ":8082"} {
		conn := dial(w, w.client, address)
		if _, _, err := talk(conn); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	kept, early, late := conns[0], conns[1], conns[2]
	s.put(one)
	s.reloaded(func() { queued(s, podIP+":8082", 100, syscall.SIGHUP) })
	if conn, err := w.client.Dial("tcp", podIP+":8082"); !errors.Is(err, syscall.ECONNREFUSED) {
		if err == nil {
			conn.Close()
		}
		t.Errorf("a new connection to the removed listener: %v, want it refused", err)
	}
	early.Close()
	if r := s.ended(early); r.ending() != byClient {
		t.Errorf("the connection that ends by itself: record %+v", r)
	}
	wantReset(t, late)
	if r := s.ended(late); r.ending() != withoutFlags("proxy", "drain") {
		t.Errorf("the connection that stays too long: record %+v", r)
	}
	s.reload(both)
	converse(s, w.client, podIP+":8082")
	write(t, kept, []byte("x"))
	readFull(t, kept, 1)
	kept.Close()
}

// withoutFlags is an ending without flags.
func withoutFlags(closedBy, reason string) ending { return ending{closedBy, reason, "-"} }

// TestReloadClosesDenied changes rbac: live connections that the chain of the
// same name refuses from now on are reset, however their bytes move. No other is.
func TestReloadClosesDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.client.AddAddr("eth0", colleagueIP+"/24")
	v := newWay(w, "", w.client, w.remote, remoteIP+":7000")
	endpoints := []string{remoteIP + ":7000"}
	text := gatewayText(quickDrain, gateway{name: "ruled", port: 8081, endpoints: endpoints}, gateway{name: "free", port: 8082, endpoints: endpoints})
	denying := strings.Replace(text, "{name: ruled, tcp_proxy", "{name: ruled, rbac: {action: deny, policies: [{name: client, source_ips: ["+clientIP+"/32]}]}, tcp_proxy", 1)
	s := startSidecar(w, text, asSidecar(redirect))
	open := func(source string, port int) (client, server *net.TCPConn) {
		client = dialFrom(w, w.client, source, fmt.Sprintf("%s:%d", podIP, port))
		server = <-v.accepted
		own(w, server)
		write(w, server, []byte("!"))
		readFull(w, client, 1)
		return client, server
	}
	silent, _ := open("", 8081)
	busy, busyServer := open("", 8081)
	colleague, colleagueServer := open(colleagueIP+":20000", 8081)
	free, freeServer := open("", 8082)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_, _ = send(busyServer, 1, 1<<40) // until it is reset
	}()
	readFull(t, busy, 8<<20)
	s.reload(denying)
	for _, conn := range []net.Conn{silent, busy} {
		wantReset(t, conn)
		if r := s.ended(conn); r.ending() != withoutFlags("proxy", "rbac_denied") {
			t.Errorf("record %+v", r)
		}
	}
	<-stopped
	for _, c := range [][2]net.Conn{{colleague, colleagueServer}, {free, freeServer}} {
		write(t, c[0], []byte("still there"))
		readFull(t, c[1], len("still there"))
		c[0].Close()
		c[1].Close()
	}
	if r := refused(s, w.client, podIP+":8081"); r.Reason != "rbac_denied" {
		t.Errorf("a new connection: record %+v", r)
	}
}
