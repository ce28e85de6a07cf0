package listener

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/sock"
)

// A refused connection must not make others be refused while a place is free.
func TestRefusalsTakeNoPlace(t *testing.T) {
	limits := new(Limits)
	limits.SetMax(1)
	free := &Listener{Config: &config.Listener{}, active: new(atomic.Int64)}
	full := &Listener{Config: &config.Listener{MaxConnections: 1}, active: new(atomic.Int64)}
	full.active.Store(1)
	ended := make(chan struct{})
	var refused sync.WaitGroup
	refused.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
			}
			if limits.admit(full) == Admitted {
				t.Error("a full listener has admitted a connection")
				return
			}
		}
	})
	for range 300_000 {
		if why := limits.admit(free); why != Admitted {
			t.Errorf("refused (%d) while the one place was free", why)
			break
		}
		limits.Release(free)
	}
	close(ended)
	refused.Wait()
	if limits.Active() != 0 || full.Active() != 1 || free.Active() != 0 {
		t.Errorf("%d, %d and %d places are taken, want 0, 1 and 0", limits.Active(), full.Active(), free.Active())
	}
}

// An error that says nothing about a single connection comes back at once: the
// acceptor pauses, whatever the error is.
func TestUnknownAcceptErrorPauses(t *testing.T) {
	d := newDoor(t, nil)
	a, _ := d.acceptor(0)
	d.open(a)
	var paused bool
	a.loop.Do(func() {
		listening := a.fd
		unconnected, err := sock.Dial(netip.MustParseAddrPort("127.0.0.1:1"), &sock.DialOptions{}) // accept says EINVAL
		if err != nil {
			t.Error(err)
			return
		}
		a.fd = unconnected
		if a.accept(burst) {
			t.Error("it wants to accept more")
		}
		paused = a.timer.Active()
		a.loop.StopTimer(&a.timer)
		sock.Close(unconnected)
		a.fd = listening
	})
	if !paused {
		t.Error("the acceptor did not pause: it would spin")
	}
	if n := d.counted(d.ln.Stats.AcceptErrors); n != 1 {
		t.Errorf("%d errors counted, want 1", n)
	}
}

// A closed acceptor decides at once: a connection that still waited to be
// recognised when its loop stops would be lost, and not counted by a drain.
func TestClosedAcceptorLeavesNothingUndecided(t *testing.T) {
	d := newDoor(t, nil)
	a, addr := d.acceptor(0)
	d.connect(addr)
	d.entrance.Guard.Begin(addr) // never to land
	a.loop.Do(a.Finish)
	a.loop.Do(func() {})
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.served) != 1 {
		t.Errorf("%d connections were served, want 1", len(d.served))
	}
}
