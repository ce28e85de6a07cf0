package daemon

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
)

// A new process that fails at a step leaves everything to the old one.
func TestUpgradeFails(t *testing.T) {
	type step struct {
		name string
		fail func(*handover.Taker) error // and what it says
	}
	listeners := func(taker *handover.Taker) error {
		list, err := taker.Listeners()
		for _, s := range list {
			sock.Close(s.FD)
		}
		return err
	}
	accepting := func(taker *handover.Taker) error {
		list, err := taker.Listeners()
		kept := []int{}
		for i, s := range list {
			sock.Close(s.FD)
			kept = append(kept, i)
		}
		return errors.Join(err, taker.Ready(kept))
	}
	steps := []step{
		{"after hello", func(*handover.Taker) error { return nil }},
		{"after the listening sockets", listeners},
		{"when it should accept", accepting},
		{"with a batch", func(taker *handover.Taker) error {
			err := accepting(taker)
			_, failed := taker.Connections()
			return errors.Join(err, failed)
		}},
	}
	g := newGenerations(t)
	old := g.first()
	conns := old.connectMany(10)
	for number, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			taker, err := handover.Dial(t.Context(), g.socket, handover.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.fail(taker); err != nil {
				t.Error(err)
			}
			taker.Close()
			eventually(t, "the old process goes on", func() bool { return int(old.daemon.upgrades.failed.Load()) >= number+1 })
			old.echoes(conns...)
			old.echoes(old.connect())
		})
	}
	now := g.succeed(same)
	now.echoes(conns...)
}

// Each process that cannot start says so, and the old one goes on.
func TestUpgradeRefuses(t *testing.T) {
	g := newGenerations(t)
	old := g.first()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tr := g.next(func(c *config.Config) { c.Admin.Address = taken.Addr().String() })
	tr.launch()
	select {
	case err := <-tr.ended:
		if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
			t.Errorf("the new process says %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the new process has not ended")
	}
	eventually(t, "the old process goes on", func() bool { return old.daemon.upgrades.failed.Load() == 1 })
	old.echoes(old.connect())
	g.all = g.all[:1]
	now := g.succeed(same)
	now.echoes(now.connect())
}

// The old process calls it off: the new one serves what it has and ends.
func TestUpgradeCalledOff(t *testing.T) {
	g := newGenerations(t)
	tr, giver := g.before(t)
	defer giver.Close()
	conn := tr.connect()
	tr.echoes(conn)
	if err := giver.CallOff(); err != nil {
		t.Fatal(err)
	}
	tr.waitLog("another process serves; ending when nothing is left")
	tr.echoes(conn)
	conn.Close()
	tr.waitEnd()
}

// before plays an old process that has nothing to give, up to where the new one
// accepts.
func (g *generations) before(t *testing.T) (*trial, *handover.Giver) {
	t.Helper()
	server, err := handover.Listen(g.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	tr := g.next(same)
	tr.launch()
	giver, err := server.Accept(t.Context(), func() handover.Options { return handover.Options{} })
	if err != nil {
		t.Fatal(err)
	}
	err = giver.SendListeners(nil)
	if err == nil {
		_, err = giver.WaitReady()
	}
	if err != nil {
		t.Fatal(err)
	}
	return tr, giver
}

// The old process dies: the new one is the daemon.
func TestUpgradeOrphaned(t *testing.T) {
	g := newGenerations(t)
	tr, giver := g.before(t)
	giver.Close()
	tr.waitLog("the process before is gone, and what it still had with it, unless a store has it; this one goes on")
	tr.waitLog(canTakeOver)
	tr.echoes(tr.connect())
	now := g.succeed(same)
	now.echoes(now.connect())
}

// A drain that begins while a hand-over waits ends it.
func TestDrainDuringUpgrade(t *testing.T) {
	g := newGenerations(t)
	old := g.first()
	taker, err := handover.Dial(t.Context(), g.socket, handover.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer taker.Close()
	list, err := taker.Listeners()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		sock.Close(s.FD)
	}
	old.signals <- syscall.SIGTERM
	old.waitEnd()
}
