package eventloop

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// enough bounds the tests that look for lost wake-ups: a busy machine takes
// milliseconds for each that is not lost.
const enough = 3 * time.Second

func TestPostKeepsOrder(t *testing.T) {
	l := running(t, Options{})
	const posters, each = 16, 2000
	var wg sync.WaitGroup
	next := make([]int, posters) // the loop's own, until the last Do
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				l.Post(func() {
					if next[p] != i {
						t.Errorf("poster %d: function %d ran when it was %d's turn", p, i, next[p])
					}
					next[p]++
				})
			}
		})
	}
	wg.Wait()
	do(t, l, func() {
		for p, n := range next {
			if n != each {
				t.Errorf("poster %d: %d of %d functions ran", p, n, each)
			}
		}
	})
}

// Two loops post to each other: a single lost wake-up ends the game.
func TestNoWakeUpIsLost(t *testing.T) {
	const rounds = 50_000 // of two posts
	a, b := running(t, Options{}), running(t, Options{})
	done := make(chan struct{})
	left, until := rounds, time.Now().Add(enough)
	var ping, pong func()
	ping = func() { b.Post(pong) }
	pong = func() {
		if left--; left == 0 || time.Now().After(until) {
			close(done)
			return
		}
		a.Post(ping)
	}
	a.Post(ping)
	receive(t, "the last of the posts", done)
}

// The same with goroutines that wait for each of their posts, so that the loop
// goes to sleep and is woken all the time.
func TestNoWakeUpIsLostWithManyWaiters(t *testing.T) {
	l := running(t, Options{})
	var ran, asked atomic.Int64
	var wg sync.WaitGroup
	until := time.Now().Add(enough)
	for range 8 {
		wg.Go(func() {
			for i := 0; i < 3000 && time.Now().Before(until); i++ {
				asked.Add(1)
				l.Do(func() { ran.Add(1) })
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	receive(t, "all Do to return", done)
	if ran.Load() != asked.Load() {
		t.Errorf("%d functions ran, want %d", ran.Load(), asked.Load())
	}
}

func TestPostFromPosted(t *testing.T) {
	l := running(t, Options{})
	done := make(chan int, 3)
	l.Post(func() {
		l.Post(func() { done <- 2 })
		done <- 1
	})
	if a, b := receive(t, "first", done), receive(t, "second", done); a != 1 || b != 2 {
		t.Errorf("order %d, %d", a, b)
	}
}

func TestStop(t *testing.T) {
	before := openDescriptors(t)
	l, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	returned := make(chan struct{})
	go func() { l.Run(); close(returned) }()
	do(t, l, func() {})
	var wg sync.WaitGroup
	for range 4 { // together with others that still post
		wg.Go(func() {
			for l.Do(func() {}) {
				l.Post(func() {})
			}
		})
	}
	l.Stop()
	wg.Wait()
	receive(t, "Run to return", returned)
	l.Stop() // again: returns
	l.Post(func() { t.Error("a function posted after Stop ran") })
	if l.Do(func() { t.Error("a function given to Do after Stop ran") }) {
		t.Error("Do says it ran something after Stop")
	}
	if now := openDescriptors(t); now != before {
		t.Errorf("%d descriptors before, %d after", before, now)
	}
}

func TestCloseOfLoopThatNeverRan(t *testing.T) {
	before := openDescriptors(t)
	l, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.Post(func() { t.Error("a function ran on a loop that did not") })
	l.Close()
	if l.Do(func() {}) {
		t.Error("Do says it ran something")
	}
	l.Stop()
	if now := openDescriptors(t); now != before {
		t.Errorf("%d descriptors before, %d after", before, now)
	}
}

func BenchmarkPost(b *testing.B) {
	l := running(b, Options{})
	fn := func() {}
	b.ReportAllocs()
	for b.Loop() {
		l.Post(fn)
	}
	do(b, l, func() {})
}

func BenchmarkDo(b *testing.B) {
	l := running(b, Options{})
	b.ReportAllocs()
	for b.Loop() {
		l.Do(func() {})
	}
}
