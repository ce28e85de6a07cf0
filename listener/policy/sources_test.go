package policy

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

func sourceNumber(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// entries counts what the maps hold.
func (s *Sources) entries() (n int) {
	for i := range s.shards {
		n += len(s.shards[i].counts)
	}
	return n
}

// Connections that live already are counted above both limits, and only where
// there is one.
func TestSourcesAdopt(t *testing.T) {
	s := NewSources(1)
	uncounted := s.Adopt(sourceNumber(1))
	uncounted.Release()
	s.SetMax(1)
	places := []SourcePlace{s.Adopt(sourceNumber(1)), s.Adopt(sourceNumber(1)), s.Adopt(sourceNumber(2))}
	if s.Tracked() != 2 || s.entries() != 2 {
		t.Errorf("%d sources, %d entries", s.Tracked(), s.entries())
	}
	places[0].Release()
	if _, refusal := s.Take(sourceNumber(1)); refusal != SourceFull {
		t.Errorf("a source with one connection of one: %v", refusal)
	}
	if _, refusal := s.Take(sourceNumber(3)); refusal != SourcesFull {
		t.Errorf("a third source: %v", refusal)
	}
	for i := range places {
		places[i].Release()
	}
	if s.Tracked() != 0 || s.entries() != 0 {
		t.Errorf("%d sources, %d entries at the end", s.Tracked(), s.entries())
	}
}

func TestSources(t *testing.T) {
	s := NewSources(2)
	take := func(addr string, want SourceRefusal) SourcePlace {
		t.Helper()
		p, refusal := s.Take(netip.MustParseAddr(addr))
		if refusal != want {
			t.Fatalf("%s: %v, want %v", addr, refusal, want)
		}
		return p
	}
	for range 5 {
		unlimited := take("10.0.0.1", NotRefused)
		defer unlimited.Release()
	}
	s.SetMax(2)
	a1, a2 := take("10.0.0.1", NotRefused), take("::ffff:10.0.0.1", NotRefused)
	take("10.0.0.1", SourceFull)
	b := take("fd00::1", NotRefused)
	take("fd00::2", SourcesFull)
	a1.Release()
	a1.Release()
	a1 = take("10.0.0.1", NotRefused)
	take("10.0.0.1", SourceFull)
	b.Release()
	c := take("fd00::2", NotRefused)
	if s.Tracked() != 2 || s.entries() != 2 {
		t.Errorf("%d sources, %d entries", s.Tracked(), s.entries())
	}
	s.SetMax(1)
	a1.Release()
	take("10.0.0.1", SourceFull)
	s.SetMax(0)
	take("10.0.0.1", NotRefused)
	for _, p := range []*SourcePlace{&a1, &a2, &b, &c, {}} {
		p.Release()
	}
	if s.Tracked() != 0 || s.entries() != 0 {
		t.Errorf("%d sources, %d entries at the end", s.Tracked(), s.entries())
	}
}

func TestSourcesUnknown(t *testing.T) {
	s := NewSources(10)
	s.SetMax(1)
	s.Take(netip.Addr{})
	if _, refusal := s.Take(netip.Addr{}); refusal != SourceFull {
		t.Errorf("a second connection from an unknown source: %v", refusal)
	}
}

// TestSourcesGiveMemoryBack: a flood's maps do not stay.
func TestSourcesGiveMemoryBack(t *testing.T) {
	const flood = 100_000
	s := NewSources(flood)
	s.SetMax(1)
	places := make([]SourcePlace, 0, flood)
	for i := range flood {
		p, refusal := s.Take(sourceNumber(i))
		if refusal != NotRefused {
			t.Fatalf("source %d: %v", i, refusal)
		}
		places = append(places, p)
	}
	for i := range s.shards {
		if n := len(s.shards[i].counts); n > 2*flood/shards || n < flood/shards/2 {
			t.Errorf("shard %d has %d of %d sources", i, n, flood)
		}
	}
	for i := range places {
		places[i].Release()
	}
	for i := range s.shards {
		if s.shards[i].counts != nil {
			t.Errorf("shard %d keeps its map", i)
		}
	}
}

// TestSourcesOfManyLoops compares with a plain count for each source.
func TestSourcesOfManyLoops(t *testing.T) {
	const loops, most, limit, wanted = 8, 20, 3, 40
	s := NewSources(most)
	s.SetMax(limit)
	var held [wanted]atomic.Int64
	var refused [3]atomic.Int64
	var wait sync.WaitGroup
	for loop := range loops {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(loop)))
			type mine struct {
				place  SourcePlace
				source int
			}
			var live []mine
			for range 20_000 {
				if len(live) > 0 && random.IntN(2) == 0 {
					i := random.IntN(len(live))
					held[live[i].source].Add(-1)
					live[i].place.Release()
					live[i] = live[len(live)-1]
					live = live[:len(live)-1]
					continue
				}
				source := random.IntN(wanted)
				p, refusal := s.Take(sourceNumber(source))
				refused[refusal].Add(1)
				if refusal != NotRefused {
					continue
				}
				if n := held[source].Add(1); n > limit {
					t.Errorf("source %d has %d connections", source, n)
				}
				live = append(live, mine{p, source})
			}
			for i := range live {
				held[live[i].source].Add(-1)
				live[i].place.Release()
			}
		})
	}
	wait.Wait()
	if s.Tracked() != 0 || s.entries() != 0 {
		t.Errorf("%d sources, %d entries at the end", s.Tracked(), s.entries())
	}
	for i := range refused {
		if refused[i].Load() == 0 {
			t.Errorf("nothing ended with %d; the test no longer reaches it", i)
		}
	}
}
