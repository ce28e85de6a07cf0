package eventloop

import (
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/internal/sock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a Handler made of functions; nil ones do nothing.
type fake struct {
	events func(tag, events uint32)
	timer  func()
	panics func(value any, stack []byte)
}

func (f *fake) OnEvents(tag, events uint32) {
	if f.events != nil {
		f.events(tag, events)
	}
}

func (f *fake) OnTimer() {
	if f.timer != nil {
		f.timer()
	}
}

func (f *fake) OnPanic(value any, stack []byte) {
	if f.panics != nil {
		f.panics(value, stack)
	}
}

// still makes a loop whose turns the test takes itself.
func still(t testing.TB, o Options) *Loop {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

// running makes a loop that runs until the test ends.
func running(t testing.TB, o Options) *Loop {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	go l.Run()
	t.Cleanup(l.Stop)
	return l
}

// do runs fn on the loop and waits for it.
func do(t testing.TB, l *Loop, fn func()) {
	t.Helper()
	if !l.Do(fn) {
		t.Fatal("Do: the loop has stopped")
	}
}

// signal makes an eventfd that the test closes at its end, if nobody did.
func signal(t testing.TB) int {
	t.Helper()
	fd, err := sock.NewWaker()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close(fd) })
	return fd
}

func watch(t testing.TB, l *Loop, fd int, h Handler, tag uint32) Watch {
	t.Helper()
	w, errno := l.Watch(fd, sock.Readable|sock.EdgeTriggered, h, tag)
	if errno != 0 {
		t.Fatal(errno)
	}
	return w
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// receive waits for a value and fails the test when none comes.
func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(time.Minute):
		t.Fatalf("waited in vain for: %s", what)
		panic("unreachable")
	}
}

func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
