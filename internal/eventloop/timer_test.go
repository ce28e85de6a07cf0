package eventloop

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Random starts, moves and stops against a plain list; the heap must give the
// same times in the same order and keep every Timer's place true.
func TestTimerHeapAgainstSortedSlice(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		var h timerHeap
		timers := make([]Timer, 300)
		handlers := make([]fake, len(timers))
		want := map[int]int64{}
		for step := range 3000 {
			i, at := random.IntN(len(timers)), random.Int64N(500)
			switch random.IntN(5) {
			case 0:
				h.stop(&timers[i])
				delete(want, i)
			case 1:
				checkExpired(t, &h, want, handlers, at)
			default:
				h.start(&timers[i], at, &handlers[i])
				want[i] = at
			}
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, step)
			}
		}
		checkPlaces(t, &h, timers, want)
		checkExpired(t, &h, want, handlers, 500)
		if len(h.entries) != 0 || h.wait(0) != -1 {
			t.Fatalf("seed %d: %d timers left", seed, len(h.entries))
		}
	}
}

func checkExpired(t *testing.T, h *timerHeap, want map[int]int64, handlers []fake, now int64) {
	t.Helper()
	var due []int64
	for _, at := range want {
		if at <= now {
			due = append(due, at)
		}
	}
	slices.Sort(due)
	for _, at := range due {
		handler, ok := h.expired(now)
		if !ok {
			t.Errorf("no timer due, want one at %d", at)
			return
		}
		i := 0
		for handler != Handler(&handlers[i]) {
			i++
		}
		if want[i] != at {
			t.Errorf("timer at %d, want %d", want[i], at)
		}
		delete(want, i)
	}
	if _, ok := h.expired(now); ok {
		t.Error("a timer is due that should not be")
	}
}

func checkPlaces(t *testing.T, h *timerHeap, timers []Timer, want map[int]int64) {
	t.Helper()
	for i := range timers {
		_, running := want[i]
		if timers[i].Active() != running {
			t.Errorf("timer %d: Active is %v", i, timers[i].Active())
		}
		if running && h.entries[timers[i].place-1].timer != &timers[i] {
			t.Errorf("timer %d does not know its place", i)
		}
	}
	for i := len(h.entries); i < cap(h.entries); i++ {
		if h.entries[:cap(h.entries)][i] != (timerEntry{}) {
			t.Errorf("the heap holds on to a stopped timer's handler")
			return
		}
	}
}

func TestTimerWait(t *testing.T) {
	type waitCase struct {
		name     string
		at, now  int64
		wantWait int
	}
	ms := int64(time.Millisecond)
	cases := []waitCase{
		{"due", 5, 5, 0},
		{"overdue", 5, 6, 0},
		{"rounded up", 5, 4, 1},
		{"whole", 3 * ms, 0, 3},
		{"whole and a bit", 3*ms + 1, 0, 4},
		{"a year fits an int of C", int64(365 * 24 * time.Hour), 0, 3600 * 1000},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var h timerHeap
			h.start(&Timer{}, c.at, &fake{})
			if got := h.wait(c.now); got != c.wantWait {
				t.Errorf("wait = %d ms, want %d", got, c.wantWait)
			}
		})
	}
}

func TestTimersRunInOrder(t *testing.T) {
	l := running(t, Options{})
	const count = 2000
	timers, ran := make([]Timer, count), make(chan int, count)
	do(t, l, func() {
		for _, i := range rand.Perm(count) {
			l.StartTimer(&timers[i], time.Duration(i+1)*10*time.Microsecond, &fake{timer: func() { ran <- i }})
		}
	})
	for want := range count {
		if got := receive(t, "a timer", ran); got != want {
			t.Fatalf("timer %d ran when it was %d's turn", got, want)
		}
	}
}

func TestTimerIsMovedAndStopped(t *testing.T) {
	l := running(t, Options{})
	ran := make(chan string, 10)
	note := func(name string) *fake { return &fake{timer: func() { ran <- name }} }
	var later, sooner, never, last Timer
	do(t, l, func() {
		l.StartTimer(&later, time.Millisecond, note("at the first time"))
		l.StartTimer(&later, 30*time.Millisecond, note("later"))
		l.StartTimer(&sooner, time.Hour, note("in an hour"))
		l.StartTimer(&sooner, 2*time.Millisecond, note("sooner"))
		l.StartTimer(&never, time.Millisecond, note("never"))
		l.StopTimer(&never)
		l.StopTimer(&never)
		l.StartTimer(&last, 40*time.Millisecond, note("last"))
		if !later.Active() || never.Active() {
			t.Errorf("Active: %v, %v; want true, false", later.Active(), never.Active())
		}
	})
	for _, want := range []string{"sooner", "later", "last"} {
		if got := receive(t, "a timer", ran); got != want {
			t.Errorf("timer %q, want %q", got, want)
		}
	}
}

// A handler may start its timer again from OnTimer, and may do so for at once:
// others get their turn all the same.
func TestTimerRestartedForAtOnce(t *testing.T) {
	l := running(t, Options{})
	var timer Timer
	h := &fake{}
	calls, stop := 0, false
	h.timer = func() {
		if calls++; timer.Active() {
			t.Error("the timer is active while it runs")
		}
		if !stop && calls < 1e6 {
			l.StartTimer(&timer, time.Duration(-calls%2), h)
		}
	}
	do(t, l, func() { l.StartTimer(&timer, 0, h) })
	do(t, l, func() {})
	do(t, l, func() { stop = true })
	do(t, l, func() {
		if calls >= 1e6 {
			t.Error("a timer that is always due kept the loop from everything else")
		}
	})
}

func TestTimerStopsAnotherThatIsDue(t *testing.T) {
	l := running(t, Options{})
	var a, b Timer
	calls := 0
	h := &fake{timer: func() { calls++; l.StopTimer(&a); l.StopTimer(&b) }}
	do(t, l, func() {
		l.StartTimer(&a, 0, h)
		l.StartTimer(&b, 0, h)
	})
	done := make(chan struct{})
	var after Timer
	do(t, l, func() { l.StartTimer(&after, 5*time.Millisecond, &fake{timer: func() { close(done) }}) })
	receive(t, "the last timer", done)
	do(t, l, func() {
		if calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
	})
}

func TestBackgroundLoop(t *testing.T) {
	l := running(t, Options{Background: true})
	ran := make(chan string, 2)
	var first, second Timer
	do(t, l, func() {
		l.StartTimer(&first, 0, &fake{timer: func() {
			ran <- "first"
			l.StartTimer(&second, time.Millisecond, &fake{timer: func() { ran <- "second" }})
		}})
	})
	for _, want := range []string{"first", "second"} {
		if got := receive(t, "a timer", ran); got != want {
			t.Errorf("timer %q, want %q", got, want)
		}
	}
}
