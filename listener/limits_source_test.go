package listener

import (
	"math"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/listener/policy"
)

// sourceLimits let each source have max connections.
func sourceLimits(max int) *Limits {
	l := &Limits{Sources: policy.NewSources(math.MaxInt)}
	l.Sources.SetMax(max)
	return l
}

// leave gives back what an admitted connection holds.
func (l *Limits) leave(ln *Listener, place policy.SourcePlace) {
	l.Release(ln)
	place.Release()
}

func TestSourceLimit(t *testing.T) {
	one, other := netip.MustParseAddr("10.4.0.9"), netip.MustParseAddr("10.4.0.10")
	mapped := netip.MustParseAddr("::ffff:10.4.0.9")
	limits := sourceLimits(2)
	ln, full := &Listener{Config: &config.Listener{}, active: new(atomic.Int64)}, &Listener{Config: &config.Listener{MaxConnections: 1}, active: new(atomic.Int64)}
	full.active.Store(1)
	var places []policy.SourcePlace
	enter := func(ln *Listener, source netip.Addr, want Refusal) {
		t.Helper()
		place, refusal := limits.admitFrom(source, ln)
		if refusal != want {
			t.Errorf("from %s: refusal %d, want %d", source, refusal, want)
		}
		if refusal == Admitted {
			places = append(places, place)
		}
	}
	enter(ln, one, Admitted)
	enter(full, one, ListenerFull)
	enter(ln, mapped, Admitted)
	enter(ln, one, SourceFull)
	enter(full, one, ListenerFull) // named before the source
	enter(ln, other, Admitted)
	if limits.Active() != 3 || ln.Active() != 3 || full.Active() != 1 || limits.Sources.Tracked() != 2 {
		t.Errorf("%d, %d and %d active from %d sources, want 3, 3, 1 from 2", limits.Active(), ln.Active(), full.Active(), limits.Sources.Tracked())
	}
	limits.SetMax(3)
	enter(ln, other, ProcessFull)
	enter(ln, one, ProcessFull)
	limits.SetMax(0)
	for i := range places {
		limits.leave(ln, places[i])
	}
	if limits.Active() != 0 || limits.Sources.Tracked() != 0 {
		t.Errorf("%d places and %d sources are left", limits.Active(), limits.Sources.Tracked())
	}
	enter(ln, one, Admitted)
}

// No source ever has more than its limit, all limits hold together, and nothing
// is lost.
func TestSourceLimitUnderConcurrency(t *testing.T) {
	const workers, perSource, listenerMax = 8, 3, 5
	limits := sourceLimits(perSource)
	limits.SetMax(6)
	ln := &Listener{Config: &config.Listener{MaxConnections: listenerMax}, active: new(atomic.Int64)}
	sources := []netip.Addr{netip.MustParseAddr("10.4.0.9"), netip.MustParseAddr("fd00::9")}
	var mu sync.Mutex
	live := make(map[netip.Addr]int)
	var all sync.WaitGroup
	for worker := range workers {
		source := sources[worker%len(sources)]
		all.Go(func() {
			for range 20_000 {
				place, refusal := limits.admitFrom(source, ln)
				if refusal != Admitted {
					continue
				}
				mu.Lock()
				live[source]++
				if live[source] > perSource || live[sources[0]]+live[sources[1]] > listenerMax {
					t.Errorf("live are %v", live)
				}
				mu.Unlock()
				runtime.Gosched() // so that others find limits full
				mu.Lock()
				live[source]--
				mu.Unlock()
				limits.leave(ln, place)
			}
		})
	}
	all.Wait()
	if limits.Active() != 0 || ln.Active() != 0 || limits.Sources.Tracked() != 0 {
		t.Errorf("%d, %d places and %d sources are lost", limits.Active(), ln.Active(), limits.Sources.Tracked())
	}
}

// A source that keeps coming while it is full takes no place of the listener
// from another.
func TestFullSourceTakesNoPlace(t *testing.T) {
	limits := sourceLimits(1)
	ln := &Listener{Config: &config.Listener{MaxConnections: 2}, active: new(atomic.Int64)}
	flood, other := netip.MustParseAddr("10.4.0.66"), netip.MustParseAddr("10.4.0.9")
	if _, refusal := limits.admitFrom(flood, ln); refusal != Admitted {
		t.Fatalf("refusal %d", refusal)
	}
	ended := make(chan struct{})
	var flooding sync.WaitGroup
	flooding.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
			}
			if _, refusal := limits.admitFrom(flood, ln); refusal == Admitted {
				t.Error("a full source was admitted")
				return
			}
		}
	})
	for range 100_000 {
		place, refusal := limits.admitFrom(other, ln)
		if refusal != Admitted {
			t.Errorf("refused (%d) while the one place was free", refusal)
			break
		}
		limits.leave(ln, place)
	}
	close(ended)
	flooding.Wait()
}

func TestDoorKnowsSources(t *testing.T) {
	d := newDoor(t, nil)
	d.entrance.Limits.Sources = policy.NewSources(math.MaxInt)
	d.entrance.Limits.Sources.SetMax(2)
	a, addr := d.acceptor(0)
	d.open(a)
	for range 5 {
		d.connect(addr)
	}
	refused := 0
	for _, s := range d.wait(5) {
		if s.accepted.Refusal == SourceFull {
			refused++
			continue
		}
		s.accepted.Place.Release()
		d.entrance.Limits.Release(s.accepted.Listener)
	}
	if refused != 3 || d.ln.Active() != 0 || d.entrance.Limits.Sources.Tracked() != 0 {
		t.Errorf("%d refused, then %d places and %d sources left, want 3, 0, 0", refused, d.ln.Active(), d.entrance.Limits.Sources.Tracked())
	}
}
