package policy

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestConnectionLimit(t *testing.T) {
	l, err := NewConnectionLimit(2)
	if err != nil {
		t.Fatal(err)
	}
	take := func(want bool) Place {
		t.Helper()
		p, ok := l.Take()
		if ok != want {
			t.Fatalf("took %v with %d taken", ok, l.Active())
		}
		return p
	}
	first, second := take(true), take(true)
	refused := take(false)
	refused.Release()
	take(false)
	first.Release()
	first.Release()
	if l.Active() != 1 {
		t.Fatalf("%d taken after one was released twice", l.Active())
	}
	third := take(true)
	second.Release()
	third.Release()
	var none Place
	none.Release()
	if l.Active() != 0 {
		t.Errorf("%d taken at the end", l.Active())
	}
}

// Connections that live already are counted above the limit.
func TestConnectionLimitAdopts(t *testing.T) {
	l, err := NewConnectionLimit(1)
	if err != nil {
		t.Fatal(err)
	}
	first, second := l.Adopt(), l.Adopt()
	first.Release()
	if _, ok := l.Take(); ok || l.Active() != 1 {
		t.Errorf("took %v with %d taken of 1", ok, l.Active())
	}
	second.Release()
	if _, ok := l.Take(); !ok || l.Active() != 1 {
		t.Errorf("took %v, %d are taken", ok, l.Active())
	}
}

// TestConnectionLimitJoins: a limit that follows another counts its connections,
// and a smaller one refuses until enough of them have ended.
func TestConnectionLimitJoins(t *testing.T) {
	limit := func(max int) *ConnectionLimit {
		l, err := NewConnectionLimit(max)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	take := func(l *ConnectionLimit, want bool) Place {
		t.Helper()
		p, ok := l.Take()
		if ok != want {
			t.Fatalf("took %v with %d taken of %d", ok, l.Active(), l.max)
		}
		return p
	}
	before, smaller, larger := limit(2), limit(1), limit(3)
	first, second := take(before, true), take(before, true)
	smaller.Join(before)
	larger.Join(smaller)
	take(smaller, false)
	third := take(larger, true)
	first.Release()
	take(smaller, false)
	second.Release()
	take(smaller, false)
	third.Release()
	last := take(smaller, true)
	last.Release()
	for _, l := range []*ConnectionLimit{before, smaller, larger} {
		if l.Active() != 0 {
			t.Errorf("%d taken at the end", l.Active())
		}
	}
}

func TestConnectionLimitOfNothing(t *testing.T) {
	for _, max := range []int{0, -1} {
		if _, err := NewConnectionLimit(max); err == nil || !strings.Contains(err.Error(), "max_connections") {
			t.Errorf("%d: %v", max, err)
		}
	}
}

// TestConnectionLimitOfManyLoops: of loops that come at the same moment as
// many get a place as there are, again and again.
func TestConnectionLimitOfManyLoops(t *testing.T) {
	const loops, most, rounds = 3, 1, 30_000
	l, err := NewConnectionLimit(most)
	if err != nil {
		t.Fatal(err)
	}
	var arrived, taken atomic.Int64
	meet := func(times int64) {
		arrived.Add(1)
		for arrived.Load() < times*loops {
			runtime.Gosched()
		}
	}
	var wait sync.WaitGroup
	for range loops {
		wait.Go(func() {
			for round := range int64(rounds) {
				meet(2*round + 1)
				p, ok := l.Take()
				if ok {
					taken.Add(1)
				}
				meet(2*round + 2)
				p.Release()
				p.Release()
			}
		})
	}
	wait.Wait()
	if l.Active() != 0 || taken.Load() != rounds*most {
		t.Errorf("%d still taken; %d times taken in %d rounds of %d", l.Active(), taken.Load(), rounds, most)
	}
}
