package eventloop

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/sock"
)

func TestEvents(t *testing.T) {
	l := running(t, Options{})
	type call struct{ tag, events uint32 }
	calls := make(chan call, 10)
	h := &fake{events: func(tag, events uint32) { calls <- call{tag, events} }}
	a, b := signal(t), signal(t)
	do(t, l, func() {
		watch(t, l, a, h, 1)
		watch(t, l, b, h, 2)
	})
	for range 3 {
		sock.Wake(a)
		if got := receive(t, "event", calls); got != (call{1, sock.Readable}) {
			t.Errorf("got %+v", got)
		}
		sock.Wake(b)
		if got := receive(t, "event", calls); got != (call{2, sock.Readable}) {
			t.Errorf("got %+v", got)
		}
	}
	do(t, l, func() {})
	if len(calls) != 0 {
		t.Errorf("%d events too many", len(calls))
	}
}

// More events than one wait fetches all come.
func TestMoreEventsThanABatch(t *testing.T) {
	l := running(t, Options{})
	const count = 3*batch + 1
	var calls atomic.Int64
	seen := make([]int, count)
	h := &fake{events: func(tag, _ uint32) { seen[tag]++; calls.Add(1) }}
	for i := range count {
		fd := signal(t)
		do(t, l, func() { watch(t, l, fd, h, uint32(i)) })
		defer sock.Wake(fd)
		sock.Wake(fd)
	}
	eventually(t, "all events", func() bool { return calls.Load() == count })
	do(t, l, func() {
		for i, n := range seen {
			if n != 1 {
				t.Errorf("descriptor %d: %d events", i, n)
			}
		}
	})
}

// A handler that always wants another turn leaves every other one its own:
// events, timers, posts, and those that also want again.
func TestAgainIsFair(t *testing.T) {
	l := running(t, Options{})
	const greedy = 3
	var turns [greedy]int
	var watches [greedy]Watch
	stop := false
	h := &fake{}
	h.events = func(tag, events uint32) {
		if turns[tag]++; events != 5 {
			t.Errorf("events %d, want those given to Again", events)
		}
		if !stop {
			l.Again(watches[tag], 5)
		}
	}
	served := make(chan string, 10)
	fd := signal(t)
	var timer Timer
	do(t, l, func() {
		for i := range greedy {
			watches[i] = watch(t, l, signal(t), h, uint32(i))
			l.Again(watches[i], 5)
		}
		modest := &fake{events: func(_, _ uint32) { served <- "event" }, timer: func() { served <- "timer" }}
		watch(t, l, fd, modest, 0)
		l.StartTimer(&timer, time.Millisecond, modest)
	})
	receive(t, "timer", served)
	sock.Wake(fd)
	receive(t, "event", served)
	do(t, l, func() {
		stop = true
		for i := range turns {
			if turns[i] == 0 || turns[i] < turns[0]-1 || turns[i] > turns[0]+1 {
				t.Errorf("turns %v are not shared evenly", turns)
			}
		}
	})
}

// Again needs nobody else to wake the loop.
func TestAgainAlone(t *testing.T) {
	l := running(t, Options{})
	done := make(chan struct{})
	turns := 0
	var w Watch
	h := &fake{events: func(_, _ uint32) {
		if turns++; turns == 10_000 {
			close(done)
			return
		}
		l.Again(w, 0)
	}}
	fd := signal(t)
	do(t, l, func() {
		w = watch(t, l, fd, h, 0)
		l.Again(w, 0)
	})
	receive(t, "the last turn", done)
}

// An idle loop is inside epoll_wait(2) without a timeout, or with that of its
// next timer: it cannot use CPU time. /proc/PID/task/TID/syscall tells.
func TestIdleLoopSleeps(t *testing.T) {
	l := running(t, Options{})
	var tid int
	var timer Timer
	do(t, l, func() { tid = unix.Gettid() })
	sleepsIn := func(what string, accept func(timeout int64) bool) {
		t.Helper()
		eventually(t, what, func() bool {
			number, timeout := blockedIn(t, tid)
			return number == unix.SYS_EPOLL_PWAIT && accept(timeout)
		})
	}
	sleepsIn("a wait without end", func(timeout int64) bool { return timeout == -1 })
	before := switches(t, tid)
	for range 100 {
		runtime.Gosched()
		unix.Poll(nil, 1)
	}
	if now := switches(t, tid); now != before {
		t.Errorf("the idle loop woke up %d times", now-before)
	}
	do(t, l, func() { l.StartTimer(&timer, time.Hour, &fake{}) })
	sleepsIn("a wait for the timer", func(timeout int64) bool { return timeout > 1000*1000 && timeout <= 3600*1000 })
	do(t, l, func() { l.StopTimer(&timer) })
	sleepsIn("a wait without end again", func(timeout int64) bool { return timeout == -1 })
}

// blockedIn is the system call that the thread is in, and its fourth argument;
// -1 when it is in none.
func blockedIn(t *testing.T, tid int) (number int, fourth int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", tid))
	if err != nil {
		t.Fatal(err)
	}
	var args [4]uint64
	if n, _ := fmt.Sscanf(string(text), "%d 0x%x 0x%x 0x%x 0x%x", &number, &args[0], &args[1], &args[2], &args[3]); n != 5 {
		return -1, 0
	}
	return number, int64(int32(args[3]))
}

// switches is how often the thread went to sleep.
func switches(t *testing.T, tid int) (n int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", tid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\nvoluntary_ctxt_switches:")
	if _, err := fmt.Sscan(rest, &n); !found || err != nil {
		t.Fatalf("no count of context switches: %v", err)
	}
	return n
}

// Garbage collection stops the world; loops that never sleep must let it.
func TestGarbageCollectionWhileBusy(t *testing.T) {
	var loops [2]*Loop
	var stop atomic.Bool
	before := runtime.GOMAXPROCS(len(loops) + 2) // as the daemon has it
	defer runtime.GOMAXPROCS(before)
	for i := range loops {
		l := running(t, Options{})
		loops[i] = l
		h := &fake{}
		fd := signal(t)
		var w Watch
		h.events = func(_, _ uint32) {
			switch {
			case stop.Load():
			case i%2 == 0:
				l.Again(w, 0) // never waits
			default:
				sock.Wake(fd) // finds an event each time it waits
			}
		}
		do(t, l, func() {
			w = watch(t, l, fd, h, 0)
			sock.Wake(fd)
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 30 {
			runtime.GC()
		}
	}()
	receive(t, "garbage collections", done)
	stop.Store(true)
	for _, l := range loops {
		do(t, l, func() {})
	}
}

func TestClockAndLoad(t *testing.T) {
	l := running(t, Options{})
	var first, second int64
	do(t, l, func() { first = l.Now() })
	do(t, l, func() { second = l.Now() })
	if first < 0 || second < first {
		t.Errorf("the clock went from %d to %d", first, second)
	}
	if wall := l.Wall(second); time.Since(wall) < 0 || time.Since(wall) > time.Minute {
		t.Errorf("Wall(now) is %v", wall)
	}
	do(t, l, func() {
		if busy := l.Busy(); busy <= 0 || int64(busy) > l.Now() {
			t.Errorf("busy for %v of %v", busy, time.Duration(l.Now()))
		}
	})
	l.AddLoad(3)
	l.AddLoad(-1)
	if l.Load() != 2 {
		t.Errorf("load %d, want 2", l.Load())
	}
}

func TestOutOfDescriptors(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	before := openDescriptors(t)
	for spare := range uint64(2) { // none for epoll; none for the eventfd
		highest := signal(t)
		limit := unix.Rlimit{Cur: uint64(highest) + spare, Max: old.Max}
		sock.Close(highest)
		fill := fillBelow(highest)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		l, err := New(Options{})
		unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
		for _, fd := range fill {
			sock.Close(fd)
		}
		if err == nil {
			l.close()
			t.Errorf("a loop with %d descriptors to spare", spare)
		} else if !strings.Contains(err.Error(), "making an event loop") {
			t.Errorf("error %q does not say what was tried", err)
		}
	}
	if now := openDescriptors(t); now != before {
		t.Errorf("%d descriptors before, %d after", before, now)
	}
}

// fillBelow takes all free descriptor numbers below limit.
func fillBelow(limit int) (taken []int) {
	for {
		fd, errno := sock.Reserve()
		if errno != 0 {
			return taken
		}
		if fd >= limit {
			sock.Close(fd)
			return taken
		}
		taken = append(taken, fd)
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	l := running(t, Options{})
	var calls atomic.Int64
	var timer Timer
	var w Watch
	h := &fake{}
	h.timer = func() { calls.Add(1) }
	h.events = func(_, events uint32) {
		if events == 0 {
			l.StartTimer(&timer, 0, h)
			return
		}
		l.Again(w, 0)
	}
	fd := signal(t)
	do(t, l, func() { w = watch(t, l, fd, h, 0) })
	round := func() {
		want := calls.Load() + 1
		sock.Wake(fd)
		for calls.Load() != want {
			runtime.Gosched()
		}
	}
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("an event, a turn of Again and a timer allocate %v times", n)
	}
}

// go test -bench . ./internal/eventloop
func BenchmarkDispatch(b *testing.B) {
	for _, ready := range []int{1, 16, batch} {
		b.Run(fmt.Sprintf("ready=%d", ready), func(b *testing.B) {
			l := still(b, Options{})
			calls := 0
			h := &fake{events: func(_, _ uint32) { calls++ }}
			for range ready {
				fd := signal(b)
				if _, errno := l.Watch(fd, sock.Readable, h, 0); errno != 0 { // level-triggered: always ready
					b.Fatal(errno)
				}
				sock.Wake(fd)
			}
			b.ReportAllocs()
			for b.Loop() {
				l.serve(l.epoll.Poll(0))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(calls), "ns/event")
		})
	}
}

func BenchmarkTimer(b *testing.B) {
	for _, count := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("running=%d", count), func(b *testing.B) {
			l := still(b, Options{})
			timers, h := make([]Timer, count), &fake{}
			at := func(i int) time.Duration { return time.Duration(uint32(i)*2654435761) * time.Nanosecond }
			for i := range timers {
				l.StartTimer(&timers[i], at(i), h)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				t := &timers[i*7919%count]
				l.StopTimer(t)
				l.StartTimer(t, at(i), h)
			}
		})
	}
}
