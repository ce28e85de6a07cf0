package systemd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/sock"
)

type notification struct {
	name string
	send func(*Notifier) error
	want string // %d stands for any number
}

func notifications() []notification {
	return []notification{
		{"ready", func(n *Notifier) error { return n.Ready("serving") }, "READY=1\nSTATUS=serving"},
		{"reloading", func(n *Notifier) error { return n.Reloading("x.yaml") }, "RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=x.yaml"},
		{"stopping", func(n *Notifier) error { return n.Stopping("draining") }, "STOPPING=1\nSTATUS=draining"},
		{"status", func(n *Notifier) error { return n.Status("3 connections") }, "STATUS=3 connections"},
		{"status with a line end", func(n *Notifier) error { return n.Status("a\nREADY=1") }, "STATUS=a READY=1"},
		{"watchdog", (*Notifier).Watchdog, "WATCHDOG=1"},
		{"main process", func(n *Notifier) error { return n.MainProcess(42) }, "MAINPID=42"},
		{"remove", func(n *Notifier) error { return n.Remove("c-1") }, "FDSTOREREMOVE=1\nFDNAME=c-1"},
	}
}

func TestNotifications(t *testing.T) {
	addresses := map[string]string{"path": socketPath(t), "abstract": fmt.Sprintf("@sluice-test-%d", os.Getpid())}
	for kind, address := range addresses {
		m, n := newManager(t, address), mustNew(t, address)
		for _, tc := range notifications() {
			t.Run(kind+" "+tc.name, func(t *testing.T) {
				if err := tc.send(n); err != nil {
					t.Fatal(err)
				}
				got, fds := m.next()
				sock.CloseAll(fds)
				if !sameButNumber(got, tc.want) || len(fds) > 0 {
					t.Errorf("got %q with %d descriptors, want %q", got, len(fds), tc.want)
				}
			})
		}
	}
}

func sameButNumber(got, want string) bool {
	before, after, has := strings.Cut(want, "%d")
	if !has {
		return got == want
	}
	middle, ok := strings.CutPrefix(got, before)
	middle, ok2 := strings.CutSuffix(middle, after)
	return ok && ok2 && middle != "" && strings.Trim(middle, "0123456789") == ""
}

func TestWithoutManager(t *testing.T) {
	n, err := New("")
	if n != nil || err != nil {
		t.Fatalf("New without NOTIFY_SOCKET = %v, %v; want nothing", n, err)
	}
	for _, tc := range notifications() {
		if err := tc.send(n); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

func TestNobodyListens(t *testing.T) {
	for _, address := range []string{"vsock:2:1234", "relative"} {
		if n, err := New(address); err == nil {
			n.Close()
			t.Errorf("New(%q) gives no error", address)
		}
	}
	if err := mustNew(t, socketPath(t)).Ready("serving"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("telling nobody gives %v", err)
	}
}

func TestStore(t *testing.T) {
	address := socketPath(t)
	m, n := newManager(t, address), mustNew(t, address)
	memory, err := sock.NewMemory("kept")
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close(memory)
	if err := n.Store("c-1", []int{memory}); err != nil {
		t.Fatal(err)
	}
	got, fds := m.next()
	defer sock.CloseAll(fds)
	if got != "FDSTORE=1\nFDNAME=c-1\nFDPOLL=0" || len(fds) != 1 {
		t.Errorf("got %q with %d descriptors", got, len(fds))
	}
	for _, name := range []string{"", "a:b", "a b", "a\nREADY=1", "ü", strings.Repeat("x", 256)} {
		if n.Store(name, []int{memory}) == nil || n.Remove(name) == nil {
			t.Errorf("the name %q gives no error", name)
		}
	}
	if n.Store("many", make([]int, sock.MaxRights+1)) == nil {
		t.Error("too many descriptors give no error")
	}
}
