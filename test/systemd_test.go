//go:build systemd

// This needs root, systemd and a writable control group of version 2: `make systemd`.

package test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// machine is the pod with a systemd of its own.
type machine struct {
	*world
	init int // systemd's process
}

func bootSystemd(w *world) *machine {
	w.Helper()
	testnet.Need(w.T, "unshare")
	checkout, err := filepath.Abs("..")
	if err != nil {
		w.Fatal(err)
	}
	group := newGroup(w)
	dir := filepath.Join(w.net.Dir(), "machine")
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.Fatal(err)
	}
	boot := w.pod.Start("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec unshare --mount --pid --fork --kill-child --uts --ipc --cgroup "$@"`,
		group, filepath.Join(checkout, "test/testdata/boot-systemd"), dir, w.binary, checkout)
	m := &machine{world: w}
	w.Cleanup(func() {
		if w.Failed() {
			w.Logf("boot: %s\n%s", boot.Log(), m.try("journalctl", "--no-pager", "-o", "short-precise"))
		}
		boot.Kill() // and with it systemd, and with that everything
	})
	w.eventually(func() error {
		if boot.Exited() {
			w.Fatalf("systemd does not start: %s", boot.Log())
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", boot.PID()))
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(string(text), &m.init); err != nil {
			return fmt.Errorf("the process of systemd: %w", err)
		}
		if state := strings.TrimSpace(m.try("systemctl", "is-system-running")); state != "running" {
			return fmt.Errorf("systemd is %q", state)
		}
		return nil
	})
	return m
}

// newGroup is a control group of version 2, wherever that is mounted.
func newGroup(w *world) string {
	w.Helper()
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		w.Fatal(err)
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if fields[2] != "cgroup2" {
			continue
		}
		group, err := os.MkdirTemp(fields[1], "sluice-test-")
		if err == nil {
			err = os.Chmod(group, 0o755)
		}
		if err != nil {
			w.Fatal(err)
		}
		w.Cleanup(func() { w.eventually(func() error { return removeGroups(group) }) })
		return group
	}
	w.Fatal("no cgroup of version 2 is mounted")
	return ""
}

// removeGroups removes a control group with all that systemd has made in it, when its
// processes have gone.
func removeGroups(group string) error {
	var all []string
	err := filepath.WalkDir(group, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			all = append(all, path)
		}
		return err
	})
	for _, path := range slices.Backward(all) {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// try runs a program beside systemd, and returns what it printed whatever its status.
func (m *machine) try(args ...string) string {
	command := append([]string{"-t", fmt.Sprint(m.init), "-m", "-p", "-u", "-i", "-C", "-r", "-w",
		"env", "-i", "SYSTEMD_COLORS=0", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, args...)
	out, err := m.pod.Command("nsenter", command...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%s: %v\n", out, strings.Join(args, " "), err)
	}
	return string(out)
}

// do runs a program that must print nothing, as systemctl does when all is well.
func (m *machine) do(args ...string) {
	m.Helper()
	if out := m.try(args...); out != "" {
		m.Fatalf("%s: %s", strings.Join(args, " "), out)
	}
}

func (m *machine) property(unit, name string) string {
	m.Helper()
	return strings.TrimSpace(m.try("systemctl", "show", "-P", name, unit))
}

// kept is how many descriptors are in systemd's store.
func (m *machine) kept() (count int) {
	m.Helper()
	if text := m.property("sluice.service", "NFileDescriptorStore"); text != "" {
		if _, err := fmt.Sscan(text, &count); err != nil {
			m.Fatalf("NFileDescriptorStore is %q: %v", text, err)
		}
	}
	return count
}

// waitProperty waits until a property of sluice.service is, or is no longer, a value.
func (m *machine) waitProperty(name, value string, is bool) {
	m.Helper()
	m.eventually(func() error {
		if got := m.property("sluice.service", name); (got == value) != is {
			return fmt.Errorf("%s is %q", name, got)
		}
		return nil
	})
}

// waitServing waits for another main process than before, and returns its number.
func (m *machine) waitServing(before string) string {
	m.Helper()
	m.waitProperty("MainPID", before, false)
	m.waitProperty("ActiveState", "active", true)
	m.waitProperty("StatusText", "serving", true)
	return m.property("sluice.service", "MainPID")
}

// upgrade upgrades in place, kill kills: either returns the next main process.
func (m *machine) upgrade() string { m.Helper(); return m.signal("USR2") }
func (m *machine) kill() string    { m.Helper(); return m.signal("KILL") }

func (m *machine) signal(name string) string {
	m.Helper()
	before := m.property("sluice.service", "MainPID")
	m.do("systemctl", "kill", "-s", name, "--kill-whom=main", "sluice")
	return m.waitServing(before)
}

// wantRules wants the capture rules to be there, or to be gone.
func (m *machine) wantRules(there bool) {
	m.Helper()
	m.eventually(func() error {
		if rules := m.pod.Run("iptables-save", "-t", "nat"); strings.Contains(rules, "ISTIO") != there {
			return fmt.Errorf("the rules should be there: %t; they are\n%s", there, rules)
		}
		return nil
	})
}

// stopEntered stops sluice and waits until it drains.
func (m *machine) stopEntered() {
	m.Helper()
	m.do("systemctl", "stop", "--no-block", "sluice")
	m.waitProperty("StatusText", "draining", true)
}

// live are connections through sluice of which both ends are the test's.
type live struct {
	w   *world   // of the whole test
	m   *machine // of the step that runs
	way *way
	all [][2]*net.TCPConn

	sockets int // how many descriptors systemd keeps without connections
}

// open opens some more, and sees to it that sluice is between the ends.
func (l *live) open(count int) {
	l.m.Helper()
	if len(l.all) == 0 {
		l.sockets = l.m.kept()
	}
	for range count {
		client, server := l.way.open(l.w)
		if server.RemoteAddr().(*net.TCPAddr).IP.String() != "127.0.0.6" {
			l.m.Errorf("a connection from %v was not captured", server.RemoteAddr())
		}
		l.all = append(l.all, [2]*net.TCPConn{client, server})
	}
}

// talk has all of them say something, both ways.
func (l *live) talk() {
	l.m.Helper()
	for _, ends := range l.all {
		for _, way := range [][2]*net.TCPConn{ends, {ends[1], ends[0]}} {
			write(l.m.T, way[0], []byte("there"))
			readFull(l.m.T, way[1], len("there"))
		}
	}
}

// stored waits until systemd keeps them all: three descriptors for each.
func (l *live) stored() {
	l.m.Helper()
	l.m.eventually(func() error {
		if kept := l.m.kept(); kept < l.sockets+3*len(l.all) {
			return fmt.Errorf("systemd keeps %d descriptors, of these %d for listening sockets; there are %d connections", kept, l.sockets, len(l.all))
		}
		return nil
	})
}

// end closes them all, well.
func (l *live) end() {
	l.m.Helper()
	for _, ends := range l.all {
		ends[0].CloseWrite()
		wantEnd(l.m.T, ends[1])
		ends[1].Close()
		wantEnd(l.m.T, ends[0])
		ends[0].Close()
	}
	l.all = nil
}

// TestSystemd runs the files of deploy under a real systemd, with 50 live connections:
// no upgrade, crash or stop costs one of them, and the rules are there when they must.
func TestSystemd(t *testing.T) {
	w := newWorld(t)
	m := bootSystemd(w)
	l := &live{w: w, way: newWay(w, "inbound", w.client, w.pod, podIP+":7000")}
	steps := []struct {
		name string
		run  func(*machine, *live)
	}{
		{"start", func(m *machine, l *live) {
			m.do("systemctl", "start", "sluice")
			m.wantRules(true)
			l.open(50)
		}},
		{"reload", func(m *machine, _ *live) {
			m.do("systemctl", "reload", "sluice")
			m.do("sh", "-c", `cp /etc/sluice/sluice.yaml /etc/sluice/good && echo "nonsense: [" >>/etc/sluice/sluice.yaml`)
			if out := m.try("systemctl", "reload", "sluice"); !strings.Contains(out, "exit status 1") {
				m.Errorf("a reload of nonsense: %s", out)
			}
			m.do("mv", "/etc/sluice/good", "/etc/sluice/sluice.yaml")
			m.do("systemctl", "reload", "sluice")
		}},
		{"upgrade and kill", func(m *machine, l *live) {
			for _, next := range []func() string{m.upgrade, m.kill, m.upgrade, m.upgrade, m.kill, m.kill} {
				l.stored()
				next()
				l.talk()
				l.open(1)
			}
		}},
		{"cannot start", cannotStart},
		{"stop after an upgrade", func(m *machine, l *live) {
			m.upgrade()
			m.stopEntered()
			client, server := l.way.open(m.world)
			if client.LocalAddr().String() != server.RemoteAddr().String() {
				m.Errorf("a new connection comes from %v", server.RemoteAddr())
			}
			l.talk()
			l.end()
			m.waitProperty("ActiveState", "inactive", true)
			if result := m.property("sluice.service", "Result"); result != "success" {
				m.Errorf("the unit's result is %s", result)
			}
			m.wantRules(false)
		}},
		{"socket activation", activatedBySystemd},
		{"stop while it cannot start", func(m *machine, _ *live) {
			m.do("systemctl", "start", "sluice")
			m.wantRules(true)
			m.do("mv", "/etc/sluice/sluice.yaml", "/etc/sluice/away")
			m.do("systemctl", "kill", "-s", "KILL", "--kill-whom=main", "sluice")
			m.waitProperty("Result", "exit-code", true)
			m.wantRules(true)
			m.do("systemctl", "stop", "sluice")
			m.wantRules(false)
		}},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			at := &machine{w.at(t), m.init}
			l.m = at
			step.run(at, l)
			l.talk()
		})
	}
}

// cannotStart has the daemon crash, and fail to start more often than systemd tolerates
// by itself: the rules stay, and the connections in its store.
func cannotStart(m *machine, l *live) {
	l.stored()
	m.do("mv", "/etc/sluice/sluice.yaml", "/etc/sluice/away")
	m.do("systemctl", "kill", "-s", "KILL", "--kill-whom=main", "sluice")
	m.eventually(func() error {
		var restarts int
		if _, err := fmt.Sscan(m.property("sluice.service", "NRestarts"), &restarts); err != nil || restarts < 15 {
			return fmt.Errorf("%d restarts (%v)", restarts, err)
		}
		return nil
	})
	m.wantRules(true)
	m.do("mv", "/etc/sluice/away", "/etc/sluice/sluice.yaml")
	m.waitServing("")
	l.talk()
	l.open(1)
}

// activatedBySystemd has systemd make the sockets, as sluice.socket says, and one for
// each of two loops.
func activatedBySystemd(m *machine, l *live) {
	for _, edit := range []string{"", `s/^ListenStream=.*/&\n&/`} {
		m.do("sed", "-i", edit, "/etc/systemd/system/sluice.socket")
		m.do("systemctl", "daemon-reload")
		m.do("systemctl", "start", "sluice.socket", "sluice")
		m.wantRules(true)
		l.open(20)
		l.stored()
		m.upgrade()
		m.kill()
		l.talk()
		l.open(1)
		l.end()
		m.do("systemctl", "stop", "sluice.socket", "sluice")
		m.wantRules(false)
	}
}
