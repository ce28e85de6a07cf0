package test

import (
	"errors"
	"fmt"

	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// smallDisk is a file system of its own, in a mount namespace that ends with the
// test.
type smallDisk struct {
	w      *world
	dir    string
	filler string
}

// newSmallDisk mounts it. Root may go there.
func newSmallDisk(w *world, size int) *smallDisk {
	w.Helper()
	testnet.Need(w, "unshare")
	inside := filepath.Join(w.net.Dir(), "disk")
	if err := os.Mkdir(inside, 0o700); err != nil {
		w.Fatal(err)
	}
	script := fmt.Sprintf("mount -t tmpfs -o size=%d tmpfs %s && echo mounted && exec sleep infinity", size, inside)
	holder := w.pod.Start("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
	holder.WaitLog("mounted")
	dir := fmt.Sprintf("/proc/%d/root%s", holder.PID(), inside)
	return &smallDisk{w: w, dir: dir, filler: filepath.Join(dir, "filler")}
}

// fill takes all room that is left.
func (d *smallDisk) fill() {
	d.w.Helper()
	f, err := os.Create(d.filler)
	if err != nil {
		d.w.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.w.Fatal(err)
	}
}

func (d *smallDisk) free() {
	d.w.Helper()
	if err := os.Remove(d.filler); err != nil {
		d.w.Fatal(err)
	}
}

// TestDiskFull has the disk full under the access log: every connection is
// served, memory stays bounded, lines that find no room are counted. When there is
// room again the log goes on by itself, in whole lines, and each connection has a
// line or is counted as dropped.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000")
	disk := newSmallDisk(w, 32<<20)
	text := gatewayText(quickDrain, gateway{name: "g", port: 8081, endpoints: []string{remoteIP + ":7000"}})
	log := filepath.Join(disk.dir, "access.log")
	s := startSidecar(w, strings.Replace(text, "$LOG", log, 1), launch{}) // as root, which may go there
	s.accessLog = log
	converse(s, w.client, podIP+":8081")
	disk.fill()
	before := s.process.RSS()
	const most = 20000
	load := startLoad(w.client, 4, podIP+":8081")
	testnet.Eventually(w, 3*patience, func() error {
		if s.metrics().sum("sluice_access_log_dropped_lines_total") == 0 && load.served.Load() < most {
			return fmt.Errorf("no line is dropped after %d connections", load.served.Load())
		}
		return nil
	})
	load.more(w, 100)
	load.end(t)
	if grown := s.process.RSS() - before; grown > 48<<20 && !raceEnabled {
		t.Errorf("memory has grown by %d bytes, want at most 48 MiB", grown)
	}
	wantText(t, s.process.Log(), "access log cannot be written")
	if ready, err := s.ready(); !ready || err != nil {
		t.Errorf("ready: %t, %v", ready, err)
	}
	disk.free()
	total := int(load.served.Load()) + 1
	testnet.Eventually(w, 3*patience, func() error {
		dropped := int(s.metrics().sum("sluice_access_log_dropped_lines_total"))
		if lines := len(s.records()); lines+dropped != total {
			return fmt.Errorf("%d lines and %d dropped of %d connections", lines, dropped, total)
		}
		return nil
	})
	converse(s, w.client, podIP+":8081")
}

// TestScraperNeverReads has scrapers ask again and again and read nothing: others
// are scraped and served meanwhile, memory stays bounded, and after a minute at
// most their connections are closed.
func TestScraperNeverReads(t *testing.T) {
	t.Parallel()
	w, s := drainWorld(t, "")
	s.metrics()
	before := s.process.RSS()
	const scrapers = 20
	question := []byte("GET /stats/prometheus HTTP/1.1\r\nHost: localhost\r\n\r\n")
	var stuck []*net.TCPConn
	for range scrapers {
		conn := dial(w, w.pod, "127.0.0.1:15090")
		if err := conn.SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		for range 200 { // more than socket buffers hold of answers
			write(t, conn, question)
		}
		stuck = append(stuck, conn)
	}
	for range 20 {
		converse(s, w.client, podIP+":7000")
		if ready, err := s.ready(); !ready || err != nil {
			t.Errorf("ready: %t, %v", ready, err)
		}
	}
	if status, _ := s.callAdmin("GET", "/server_info"); status != 200 {
		t.Errorf("admin API: status %d", status)
	}
	w.eventually(func() error {
		// 503 while eight answers are being made, see docs/observability.md.
		status, _, err := s.get(s.host, "http://127.0.0.1:15090/stats/prometheus")
		if err == nil && status != 200 {
			err = fmt.Errorf("scrape: status %d", status)
		}
		return err
	})
	if grown := s.process.RSS() - before; grown > 64<<20 && !raceEnabled {
		t.Errorf("memory has grown by %d bytes, want at most 64 MiB", grown)
	}
	if testSizes(t).long { // a minute
		testnet.Eventually(w, 4*patience, func() error {
			if n := len(s.sockets()); n > 0 {
				return fmt.Errorf("%d connections are still open", n)
			}
			return nil
		})
	}
	for _, conn := range stuck {
		conn.Close()
	}
}

// TestSilentClients connect where their first bytes are waited for, and send none:
// as many as limits.max_pending_inspections wait, the others are reset, clients of
// other ports notice nothing, and the time for the first bytes ends them all.
func TestSilentClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	serveGreeting(w, w.pod, fmt.Sprintf("%s:%d", podIP, mysqlPort), fmt.Sprintf("%s:%d", podIP, tlsPort))
	w.client.Sysctl("net.ipv4.tcp_tw_reuse", "1") // a fast machine would need more ports than there are
	const limit, clients = 200, 600
	s := startSidecar(w, inboundText(fmt.Sprintf("limits: {max_pending_inspections: %d}\n", limit),
		"listener_filters_timeout: 5s, continue_on_listener_filters_timeout: false"), asSidecar(redirect))
	converse(s, w.client, fmt.Sprintf("%s:%d", podIP, mysqlPort))
	before := s.process.RSS()
	load := startLoad(w.client, 2, fmt.Sprintf("%s:%d", podIP, mysqlPort))
	var silent []net.Conn
	for range clients {
		conn, err := w.client.Dial("tcp", fmt.Sprintf("%s:%d", podIP, tlsPort))
		if errors.Is(err, syscall.ECONNRESET) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		own(w, conn)
		silent = append(silent, conn)
	}
	load.more(w, 50)
	if grown := s.process.RSS() - before; grown > 32<<20 && !raceEnabled {
		t.Errorf("memory has grown by %d bytes, want at most 32 MiB", grown)
	}
	for _, conn := range silent {
		wantReset(t, conn)
	}
	load.end(t)
	s.w.eventually(func() error {
		ended := s.filter(func(r record) bool { return r.Listener == "inbound" && r.Chain == "" })
		if len(ended) != clients {
			return fmt.Errorf("%d lines about %d silent clients", len(ended), clients)
		}
		late := 0
		for _, r := range ended {
			if r.ending() == refusedByProxy {
				late++
			} else if r.ending() != withoutFlags("proxy", "overflow") {
				return fmt.Errorf("record %+v", r)
			}
		}
		if late < limit {
			return fmt.Errorf("%d have waited, want at least %d", late, limit)
		}
		return nil
	})
	s.waitMetric(0, "envoy_listener_downstream_pre_cx_active")
}

// TestFlood has clients connect and reset as fast as they can while others talk:
// all of those are served, and nothing of the flood is left.
func TestFlood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.client.AddAddr("eth0", colleagueIP+"/24")
	serveGreeting(w, w.pod, podIP+":7000")
	w.applyRules(redirect)
	s := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
	load := startLoad(w.client, 2, podIP+":7000")
	const floods, each = 4, 1250
	failed := make(chan error, floods)
	for number := range floods {
		go func() { failed <- flood(w, fmt.Sprintf("%s:%d", podIP, 7000+number%2), each) }() // at 7001 nobody listens
	}
	for range floods {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	load.more(w, 50)
	load.end(t)
	t.Logf("%d connections of the flood, %d served meanwhile", floods*each, load.served.Load())
	// A reset may come before the kernel has put the connection into the queue.
	if total, most := s.metrics().sum("envoy_listener_downstream_cx_total"), float64(int64(floods*each)+load.served.Load()); total > most || total < most/2 {
		t.Errorf("%v connections are counted of %v", total, most)
	}
	s.waitIdle()
}

// flood connects and resets so many times.
func flood(w *world, address string, times int) error {
	for range times {
		conn, err := w.client.DialFrom(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(colleagueIP)}, Timeout: patience}, "tcp", address)
		if errors.Is(err, syscall.ECONNRESET) {
			continue
		}
		if err != nil {
			return err
		}
		if err := reset(conn.(*net.TCPConn)); err != nil {
			return err
		}
	}
	return nil
}

// TestConntrackFull drops what begins a connection while the pod tracks more than
// a few, as the kernel does with a full table (whose size belongs to the machine,
// net.netfilter.nf_conntrack_max): live connections go on, new ones wait and are
// served when there is room, metrics tell how full it is.
func TestConntrackFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	serveGreeting(w, w.pod, podIP+":7000")
	s := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
	const room = 10
	w.pod.Run("iptables", "-A", "INPUT", "-p", "tcp", "--syn", "--dport", "15006", "-m", "connlimit", "--connlimit-above", fmt.Sprint(room),
		"--connlimit-mask", "0", "-j", "DROP")
	var held []net.Conn
	for range room {
		conn := dial(w, w.client, podIP+":7000")
		if _, _, err := talk(conn); err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	waiting := make(chan error, 1)
	go func() {
		conn, err := w.client.Dial("tcp", podIP+":7000")
		if err == nil {
			_, _, err = talk(conn)
			conn.Close()
		}
		waiting <- err
	}()
	w.eventually(func() error { // the SYN has been dropped
		if out := w.pod.Run("iptables", "-nvxL", "INPUT"); !dropped(out) {
			return fmt.Errorf("nothing was dropped:\n%s", out)
		}
		return nil
	})
	for _, conn := range held {
		write(t, conn, []byte("still there"))
		readFull(t, conn, len("still there"))
	}
	w.eventually(func() error { // until then the last bytes are not acknowledged
		if live := tracked(w.pod); len(live) < 2*room { // on each side of sluice
			return fmt.Errorf("the check for leaks sees %d live connections of %d:\n%s", len(live), 2*room, strings.Join(live, ""))
		}
		return nil
	})
	m := s.metrics()
	if entries, most := m.sum("sluice_conntrack_entries"), m.sum("sluice_conntrack_entries_limit"); entries < room || most < entries {
		t.Errorf("conntrack: %v entries of %v", entries, most)
	}
	if ready, err := s.ready(); !ready || err != nil {
		t.Errorf("ready: %t, %v", ready, err)
	}
	for _, conn := range held {
		if err := reset(conn.(*net.TCPConn)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-waiting; err != nil {
		t.Errorf("the connection that had to wait: %v", err)
	}
}

// dropped says whether a rule with DROP has counted a packet.
func dropped(list string) bool {
	for line := range strings.Lines(list) {
		var packets int
		if n, _ := fmt.Sscan(line, &packets); n == 1 && packets > 0 && strings.Contains(line, " DROP ") {
			return true
		}
	}
	return false
}
