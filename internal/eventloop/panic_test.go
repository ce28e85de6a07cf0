package eventloop

import (
	"bytes"
	"testing"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// A batch of events, some of whose handlers panic: each of these hears of its
// own panic once, and every other event is served once.
func TestPanicInOnEvents(t *testing.T) {
	l := still(t, Options{OnPanic: func(value any, _ []byte) { t.Errorf("the loop heard of %v", value) }})
	const count = 20
	var served, panicked [count]int
	for i := range count {
		h := &fake{}
		h.events = func(tag, _ uint32) {
			served[tag]++
			if tag%3 == 0 || tag == 19 { // the first, some in a row of others, the last
				panic(tag)
			}
		}
		h.panics = func(value any, stack []byte) {
			if value != uint32(i) {
				t.Errorf("handler %d heard of the panic of %v", i, value)
			}
			if !bytes.Contains(stack, []byte("TestPanicInOnEvents")) {
				t.Errorf("the stack does not lead to the panic:\n%s", stack)
			}
			panicked[i]++
		}
		fd := signal(t)
		watch(t, l, fd, h, uint32(i))
		sock.Wake(fd)
	}
	n := l.epoll.Wait(1000)
	if n != count {
		t.Fatalf("%d events in the batch, want %d", n, count)
	}
	l.serve(n)
	for i := range count {
		want := 0
		if i%3 == 0 || i == 19 {
			want = 1
		}
		if served[i] != 1 || panicked[i] != want {
			t.Errorf("handler %d: served %d times, heard of %d panics; want 1 and %d", i, served[i], panicked[i], want)
		}
	}
}

func TestPanicInTimerAgainAndPosted(t *testing.T) {
	heard := make(chan any, 10)
	l := running(t, Options{OnPanic: func(value any, stack []byte) {
		if len(stack) == 0 {
			t.Error("no stack")
		}
		heard <- value
	}})
	handlerHeard := make(chan any, 10)
	bad := &fake{
		events: func(_, _ uint32) { panic("again") },
		timer:  func() { panic("timer") },
		panics: func(value any, _ []byte) { handlerHeard <- value },
	}
	fine := make(chan string, 10)
	good := &fake{
		events: func(_, _ uint32) { fine <- "again" },
		timer:  func() { fine <- "timer" },
	}
	var bad1, good1 Timer
	fds := [2]int{signal(t), signal(t)}
	expect := func(from string, c <-chan any) {
		t.Helper()
		if got := receive(t, from, c); got != from {
			t.Errorf("heard of %v, want %v", got, from)
		}
	}
	expectFine := func(want string) {
		t.Helper()
		if got := receive(t, want, fine); got != want {
			t.Errorf("%q was served, want %q", got, want)
		}
	}
	do(t, l, func() { l.StartTimer(&bad1, 0, bad); l.StartTimer(&good1, 1, good) })
	expect("timer", handlerHeard)
	expectFine("timer")
	do(t, l, func() {
		l.Again(watch(t, l, fds[0], bad, 0), 0)
		l.Again(watch(t, l, fds[1], good, 0), 0)
	})
	expect("again", handlerHeard)
	expectFine("again")
	l.Post(func() { panic("posted") })
	do(t, l, func() {})
	expect("posted", heard)
	if !l.Do(func() { panic("done") }) {
		t.Error("Do of a function that panics says the loop has stopped")
	}
	expect("done", heard)
	do(t, l, func() {})
	if len(heard)+len(handlerHeard)+len(fine) != 0 {
		t.Errorf("more was heard than happened: %d, %d, %d", len(heard), len(handlerHeard), len(fine))
	}
}

// A panic in OnPanic itself goes to the loop's owner.
func TestPanicInOnPanic(t *testing.T) {
	var heard []any
	l := still(t, Options{OnPanic: func(value any, _ []byte) { heard = append(heard, value) }})
	fds, served := [2]int{signal(t), signal(t)}, 0
	h := &fake{
		events: func(_, _ uint32) { served++; panic("first") },
		panics: func(any, []byte) { panic("second") },
	}
	for _, fd := range fds {
		watch(t, l, fd, h, 0)
		sock.Wake(fd)
	}
	l.serve(l.epoll.Wait(1000))
	if served != 2 || len(heard) != 2 || heard[0] != "second" || heard[1] != "second" {
		t.Errorf("%d served, heard of %v; want 2 and both second panics", served, heard)
	}
}

func TestPanicNobodyHears(t *testing.T) {
	l := still(t, Options{})
	defer func() {
		if value := recover(); value != "posted" {
			t.Errorf("recovered %v: without OnPanic a posted panic must end the process", value)
		}
	}()
	l.Post(func() { panic("posted") })
	l.runPosted()
}
