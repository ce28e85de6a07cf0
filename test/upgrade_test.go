package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// asUpgradable is how a sidecar runs that others can take over from. The socket is
// in the abstract namespace, of which each pod has its own.
func asUpgradable(mode capture) launch {
	l := asSidecar(mode)
	l.env = []string{"SLUICE_TAKEOVER=@sluice"}
	return l
}

// settleForNext waits until the next process can take over.
func (s *sidecar) settleForNext() { s.process.WaitLog("another process can take over") }

// succeed starts the next process, and waits until it has taken over.
func (s *sidecar) succeed(l launch) {
	s.w.Helper()
	s.settleForNext()
	old := s.process
	s.start(l)
	s.process.WaitLog("taken over")
	if status := old.Wait(patience); status != 0 {
		s.w.Errorf("the old process has ended with status %d:\n%s", status, old.Log())
	}
	now := s.process
	s.process = old
	s.checkLog()
	s.process = now
	s.settleForNext()
}

// upgradeText is a sidecar, and a gateway with more configuration to differ in.
func upgradeText(number int) string {
	text := sidecarText(settings{mode: redirect, tcp: fmt.Sprintf("idle_timeout: %dh", 1+number%5)})
	return withListener(text, fmt.Sprintf("- {name: more-%d, address: \"0.0.0.0:8081\", default_filter_chain: {name: chain-%d, tcp_proxy: {cluster: Passthrough}}}\n", number%2, number))
}

// TestUpgradeUnderLoad upgrades again and again while live connections stream and
// talk, and new ones come: none is reset, no byte is wrong, and each pauses for
// a moment only.
func TestUpgradeUnderLoad(t *testing.T) {
	w := newWorld(t)
	w.applyRules(redirect)
	w.client.Sysctl("net.ipv4.tcp_tw_reuse", "1") // as many connections have no other ports
	serveGreeting(w, w.pod, podIP+":7000")
	s := startSidecar(w, upgradeText(0), asUpgradable(redirect))
	size := testSizes(t)
	live := newTide(w, newWay(w, "inbound", w.client, w.pod, podIP+":7100"), size.live, min(20, size.live/4), time.Second)
	fresh := startArrivals(w, podIP+":7000", size.arrivals)
	quiet, upgraded := []time.Duration{}, []time.Duration{}
	var took, pauses []time.Duration
	for number := range size.upgrades {
		live.silences()
		began := time.Now()
		s.put(upgradeText(number + 1))
		old := s.process
		s.succeed(asUpgradable(redirect))
		took, pauses = append(took, time.Since(began)), append(pauses, longestPause(t, old.Log()))
		upgraded = append(upgraded, live.silences()...)
		fresh.more(int64(took[number].Seconds() * float64(size.arrivals))) // about as long without an upgrade, to compare with
		quiet = append(quiet, live.silences()...)
		if wrong := live.failures(); len(wrong) > 0 {
			break
		}
	}
	rate := fresh.end()
	live.end()
	m := s.metrics()
	if epoch := m.sum("envoy_server_hot_restart_generation"); epoch != float64(size.upgrades) {
		t.Errorf("the generation is %v after %d upgrades", epoch, size.upgrades)
	}
	t.Logf("%d upgrades of %d connections, each in %v (median): %d streams and %d dialogues went well; %d new connections, %.0f a second, all served; "+
		"the longest pause of a batch in each upgrade: %v (median), %v (most); the longest silence of a connection in an upgrade: %v (median), %v (p99); in as long a time without: %v, %v",
		size.upgrades, size.live, percentile(took, 0.5).Round(time.Millisecond), live.streams.Load(), live.chats.Load(), fresh.served.Load(), rate,
		percentile(pauses, 0.5), percentile(pauses, 1),
		percentile(upgraded, 0.5), percentile(upgraded, 0.99), percentile(quiet, 0.5), percentile(quiet, 0.99))
}

// longestPause is what a process says of the connections that it has handed over.
func longestPause(t *testing.T, log string) time.Duration {
	t.Helper()
	found := regexp.MustCompile(`"longest_pause":"([^"]+)"`).FindStringSubmatch(log)
	if found == nil {
		t.Fatalf("the old process does not say how long connections paused:\n%s", log)
	}
	pause, err := time.ParseDuration(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return pause
}

// TestUpgradeBySignal upgrades by SIGUSR2: each process starts the next one, as its
// own child, or as one of the service manager that has started the first.
func TestUpgradeBySignal(t *testing.T) {
	t.Run("alone", func(t *testing.T) {
		upgradeBySignal(t, func(*world, *launch) {}, gone)
	})
	t.Run("under a service manager", func(t *testing.T) {
		upgradeBySignal(t, func(w *world, l *launch) { l.env = []string{"NOTIFY_SOCKET=" + newManager(w).path} }, reaped)
	})
}

func upgradeBySignal(t *testing.T, prepare func(*world, *launch), ended func(pid int) error) {
	w := newWorld(t)
	w.applyRules(redirect)
	log := w.file("log", "")
	if err := os.Chmod(log, 0o666); err != nil {
		t.Fatal(err)
	}
	l := asSidecar(redirect)
	l.before = []string{"sh", "-c", `exec "$@" 2>>` + log, "sh"} // outlives the first process
	prepare(w, &l)
	s := newSidecar(w, upgradeText(0), l)
	s.waitReady()
	first := s.process
	live := newTide(w, newWay(w, "inbound", w.client, w.pod, podIP+":7100"), 40, 0, 50*time.Millisecond)
	pid := first.PID()
	s.put("listeners: [{name: broken")
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() error {
		text, err := os.ReadFile(log)
		if !strings.Contains(string(text), "the new process has ended") {
			err = errors.Join(err, fmt.Errorf("it does not say that the new process has failed:\n%s", text))
		}
		return err
	})
	s.put(upgradeText(0))
	var successors []int
	for number := range 3 {
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		pid = successorOf(w, log, number)
		successors = append(successors, pid)
	}
	if status := first.Wait(patience); status != 0 {
		t.Errorf("the first process has ended with status %d", status)
	}
	s.waitMetric(3, "envoy_server_hot_restart_generation")
	s.waitMetric(40, "sluice_upgrade_taken_connections_total")
	live.end()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for _, pid := range successors {
		testnet.Eventually(w, patience, func() error { return ended(pid) })
	}
	text, err := os.ReadFile(log)
	if err != nil || strings.Contains(string(text), "panic") || strings.Contains(string(text), "DATA RACE") {
		t.Errorf("the log (%v):\n%s", err, text)
	}
}

// successorOf waits for the end of an upgrade, and returns the new process.
func successorOf(w *world, log string, before int) (pid int) {
	w.Helper()
	begins := regexp.MustCompile(`"msg":"handing over".*"process":(\d+)`)
	w.eventually(func() error {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		found := begins.FindAllSubmatch(text, -1)
		if ended := strings.Count(string(text), `"msg":"ended after an upgrade"`); len(found) <= before || ended <= before {
			return fmt.Errorf("%d upgrades have begun and %d ended, want %d:\n%s", len(found), ended, before+1, text)
		}
		pid, err = strconv.Atoi(string(found[before][1]))
		return err
	})
	return pid
}

// gone says whether a process that this one has not started has ended.
func gone(pid int) error {
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		return fmt.Errorf("process %d is still there (%v)", pid, err)
	}
	return nil
}

// reaped says whether a process that this one is the parent of, but did not start, has
// ended well.
func reaped(pid int) error {
	var status syscall.WaitStatus
	got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
	if err != nil || got != pid || status.ExitStatus() != 0 {
		return fmt.Errorf("waiting for process %d gives %d, status %d (%v)", pid, got, status, err)
	}
	return nil
}

// TestUpgradeFails has new processes that cannot start, or are killed at any moment:
// the old one goes on, with all that was not taken, and accepts.
func TestUpgradeFails(t *testing.T) {
	w := newWorld(t)
	w.applyRules(redirect)
	serveGreeting(w, w.pod, podIP+":7000")
	s := startSidecar(w, upgradeText(0), asUpgradable(redirect))
	s.settleForNext()
	old := s.process
	live := newTide(w, newWay(w, "inbound", w.client, w.pod, podIP+":7100"), 40, 0, 20*time.Millisecond)
	fresh := startArrivals(w, podIP+":7000", 100)

	s.put("listeners: [{name: broken")
	s.start(asUpgradable(redirect))
	if status := s.process.Wait(patience); status != 1 {
		t.Errorf("a process without a configuration has ended with status %d", status)
	}
	s.put(strings.Replace(upgradeText(0), "0.0.0.0:8081", remoteIP+":8081", 1)) // no address of the pod
	s.start(asUpgradable(redirect))
	if status := s.process.Wait(patience); status != 1 {
		t.Errorf("a process that cannot bind has ended with status %d", status)
	}
	// One that waits for the first answer of a name server, and is killed then.
	s.put(upgradeText(0) + "- {name: slow, type: strict_dns, endpoints: [{address: \"slow.example:80\"}], dns: {resolvers: [\"" + serviceIP + ":53\"]}}\n")
	for _, message := range []string{"limit of descriptors", "taking over from a running process"} {
		s.start(asUpgradable(redirect))
		s.process.WaitLog(message)
		s.process.Kill()
	}
	s.put(upgradeText(0))
	s.process = old
	if wrong := live.failures(); len(wrong) > 0 {
		t.Errorf("%d connections went wrong before any could be taken: %v", len(wrong), wrong[0])
	}
	s.succeed(asUpgradable(redirect))
	fresh.end()
	live.end()
}

// TestUpgradeKeepsQueue has clients wait in the queues of the listening sockets when
// an upgrade begins: all are served.
func TestUpgradeKeepsQueue(t *testing.T) {
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000")
	text := gatewayText(quickDrain, gateway{name: "g", port: 8081, endpoints: []string{remoteIP + ":7000"}})
	s := startSidecar(w, text, asUpgradable(redirect))
	for range 3 {
		s.settleForNext()
		old := s.process
		old.Signal(syscall.SIGSTOP)
		waiting := clients(w, podIP+":8081", 300) // the kernel answers
		s.start(asUpgradable(redirect))
		old.Signal(syscall.SIGCONT)
		s.process.WaitLog("taken over")
		if status := old.Wait(patience); status != 0 {
			t.Errorf("the old process has ended with status %d", status)
		}
		waiting.Wait()
	}
}

// TestUpgradeDuringInspection upgrades while a client's first bytes are waited for.
// The old process waits for them, and hands the connection over then.
func TestUpgradeDuringInspection(t *testing.T) {
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000")
	text := gatewayText(quickDrain, gateway{name: "g", port: 8081, endpoints: []string{remoteIP + ":7000"},
		listener: "listener_filters: [tls_inspector], listener_filters_timeout: 20s, filter_chains: [{name: tls, match: {server_names: [example.com]}, tcp_proxy: {cluster: g}}]"})
	s := startSidecar(w, text, asUpgradable(redirect))
	s.settleForNext()
	conn := dial(w, w.client, podIP+":8081")
	s.waitMetric(1, "envoy_listener_downstream_pre_cx_active")
	old := s.process
	s.start(asUpgradable(redirect))
	s.process.WaitLog(`"msg":"ready"`)
	old.WaitLog("handing over")
	if old.Exited() {
		t.Error("the old process has not waited")
	}
	write(t, conn, []byte("no TLS\n"))
	s.process.WaitLog("taken over")
	if status := old.Wait(patience); status != 0 {
		t.Errorf("the old process has ended with status %d", status)
	}
	s.waitMetric(1, "sluice_upgrade_taken_connections_total")
	checkEcho(t, conn, "no TLS\n")
}

// checkEcho reads the greeting, and what was sent before the greeting came.
func checkEcho(t *testing.T, conn net.Conn, sent string) {
	t.Helper()
	var got []byte
	for buffer := make([]byte, 1024); !strings.HasSuffix(string(got), sent); {
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, buffer[:n]...)
	}
}
