package eventloop

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

const (
	// batch is how many events one wait fetches.
	batch = 256

	// busyWait is how long a loop that just had work waits for more without
	// telling the Go scheduler (docs/decisions/0001-event-loops.md). It stays
	// below the 10 ms after which the scheduler would take the P away.
	busyWait = 5
)

// Options of a Loop.
type Options struct {
	// OnPanic hears of panics in posted functions, which no Handler owns, and
	// of panics inside Handler.OnPanic. nil: they end the process.
	OnPanic func(value any, stack []byte)

	// Background is for a loop whose work may wait for that of others: it
	// hands its P back whenever it waits, also for a moment.
	Background bool
}

// Loop is one event loop. Methods are for its own thread unless they say
// otherwise.
type Loop struct {
	options Options
	epoll   *sock.Epoll
	slots   slots
	timers  timerHeap
	again   []againEntry // calls wanted in the next turn
	current []againEntry // the calls of this turn

	start time.Time // zero of the loop's clock
	now   int64
	turn  uint64
	busy  int64 // nanoseconds spent on anything but waiting

	waker   int
	mu      sync.Mutex // guards posted and closed
	posted  []func()
	closed  bool
	stopped bool // the loop's own: asked for by Stop
	done    chan struct{}
	load    atomic.Int64
}

type againEntry struct {
	watch  Watch
	events uint32
}

// New makes a loop; Run starts it.
func New(options Options) (*Loop, error) {
	epoll, err := sock.NewEpoll(batch)
	if err != nil {
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	waker, err := sock.NewWaker()
	if err != nil {
		epoll.Close()
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	l := &Loop{options: options, epoll: epoll, waker: waker, start: time.Now(), done: make(chan struct{})}
	if errno := epoll.Add(waker, sock.Readable, 0); errno != 0 { // no Watch is 0
		sock.Close(waker)
		epoll.Close()
		return nil, fmt.Errorf("making an event loop: watching its eventfd: %w", errno)
	}
	return l, nil
}

// Run serves events until Stop. The goroutine keeps its thread to itself.
func (l *Loop) Run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer l.close()
	worked := false
	for !l.stopped {
		n := l.wait(worked)
		began := l.tick()
		l.turn++
		worked = n > 0 || len(l.again) > 0
		l.runAgain()
		l.serve(n)
		l.runPosted()
		l.runTimers()
		l.busy += l.tick() - began
	}
}

// Close gives up a loop that was never run.
func (l *Loop) Close() { l.close() }

func (l *Loop) close() {
	l.mu.Lock()
	l.closed = true // from here on nobody writes to the waker
	l.mu.Unlock()
	l.epoll.Close()
	sock.Close(l.waker)
	close(l.done)
}

// Stop ends Run after the current turn and waits for it. Descriptors that are
// still watched stay open: they are their handlers'. Any thread but the loop's.
func (l *Loop) Stop() {
	l.Post(func() { l.stopped = true })
	<-l.done
}

// wait fetches events. A loop that just worked waits a moment on the thread's
// own account; one that found nothing hands its P back and sleeps.
func (l *Loop) wait(worked bool) int {
	if len(l.again) > 0 {
		return l.epoll.Poll(0)
	}
	timeout := l.timers.wait(l.now)
	if worked && timeout != 0 && !l.options.Background {
		first := busyWait
		if timeout > 0 {
			first = min(first, timeout)
		}
		if n := l.epoll.Poll(first); n > 0 {
			return n
		}
		timeout = l.timers.wait(l.tick())
	}
	return l.epoll.Wait(timeout)
}

// tick reads the clock for this turn.
func (l *Loop) tick() int64 {
	l.now = int64(time.Since(l.start))
	return l.now
}

// Now is the loop's monotonic clock in nanoseconds since the loop was made,
// read once a turn.
func (l *Loop) Now() int64 { return l.now }

// Turn is the number of the loop's turn: one wait for events, and what they bring.
func (l *Loop) Turn() uint64 { return l.turn }

// Wall is the wall-clock time of a moment of the loop's clock.
func (l *Loop) Wall(moment int64) time.Time { return l.start.Add(time.Duration(moment)) }

// Busy is how long the loop has worked since it was made, waiting left out.
func (l *Loop) Busy() time.Duration { return time.Duration(l.busy) }

// Watch reports events on fd to handler, with tag. The descriptor stays the
// handler's; to give it up the handler calls Forget and closes it.
func (l *Loop) Watch(fd int, interest uint32, handler Handler, tag uint32) (Watch, sock.Errno) {
	w := l.slots.take(handler, tag)
	if errno := l.epoll.Add(fd, interest, uint64(w)); errno != 0 {
		l.slots.release(w)
		return 0, errno
	}
	return w, 0
}

// Change replaces the interest of a watched descriptor.
func (l *Loop) Change(w Watch, fd int, interest uint32) sock.Errno {
	return l.epoll.Change(fd, interest, uint64(w))
}

// Forget ends a watch: no more events come for it, also none that were already
// fetched. The caller closes the descriptor next, which takes it out of epoll
// without a call of its own.
func (l *Loop) Forget(w Watch) { l.slots.release(w) }

// Detach is Forget for a descriptor that is given away open: to another process,
// for example. While anybody holds it, closing it here would leave it in epoll,
// and the loop would be woken for what is no longer its own. An error says that fd
// was not watched.
func (l *Loop) Detach(w Watch, fd int) sock.Errno {
	l.slots.release(w)
	return l.epoll.Remove(fd)
}

// Again calls the watch's handler with events in the next turn, after others
// had theirs: a handler with much to do shares the loop that way.
func (l *Loop) Again(w Watch, events uint32) {
	l.again = append(l.again, againEntry{w, events})
}

// StartTimer lets handler.OnTimer be called after d, at a precision of a
// millisecond and not before the next turn. A running timer is moved.
func (l *Loop) StartTimer(t *Timer, d time.Duration, handler Handler) {
	// In the same turn, a handler that is always due would keep the loop for ever.
	l.timers.start(t, l.now+max(int64(d), 1), handler)
}

// StopTimer stops the timer if it runs.
func (l *Loop) StopTimer(t *Timer) { l.timers.stop(t) }

// Load is how many connections the loop carries, as AddLoad counted them. Any
// thread.
func (l *Loop) Load() int64 { return l.load.Load() }

// AddLoad counts connections that come to (or leave) this loop. Any thread.
func (l *Loop) AddLoad(n int64) { l.load.Add(n) }

// Post runs fn on the loop's thread soon, in the order of posting. After Stop it
// does nothing. Any thread.
func (l *Loop) Post(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.posted = append(l.posted, fn)
	if len(l.posted) == 1 {
		sock.Wake(l.waker)
	}
}

// Do runs fn on the loop's thread and waits until it has run; false when the
// loop is stopped. Any thread but the loop's.
func (l *Loop) Do(fn func()) bool {
	ran := make(chan struct{})
	l.Post(func() { defer close(ran); fn() })
	select {
	case <-ran:
		return true
	case <-l.done:
		return false
	}
}

// serve calls the handlers of n fetched events.
func (l *Loop) serve(n int) {
	for i := 0; i < n; i++ {
		i = l.serveFrom(i, n)
	}
}

// serveFrom serves events from the i-th on and returns the last one it served:
// the n-1st, or one whose handler panicked. One recover serves a whole batch, as
// arming it for each event would cost more than most events.
func (l *Loop) serveFrom(i, n int) (last int) {
	var handler Handler
	defer func() {
		if value := recover(); value != nil {
			last = i
			l.panicked(handler, value)
		}
	}()
	for ; i < n; i++ {
		data, events := l.epoll.Event(i)
		if data == 0 {
			sock.Woken(l.waker)
			continue
		}
		if slot := l.slots.find(Watch(data)); slot != nil {
			handler = slot.handler
			handler.OnEvents(slot.tag, events)
		}
	}
	return n - 1
}

func (l *Loop) runAgain() {
	l.current, l.again = l.again, l.current[:0]
	for _, entry := range l.current {
		if slot := l.slots.find(entry.watch); slot != nil {
			handler, tag := slot.handler, slot.tag
			l.guard(handler, func() { handler.OnEvents(tag, entry.events) })
		}
	}
}

func (l *Loop) runTimers() {
	for {
		handler, due := l.timers.expired(l.now)
		if !due {
			return
		}
		l.guard(handler, handler.OnTimer)
	}
}

func (l *Loop) runPosted() {
	l.mu.Lock()
	posted := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, fn := range posted {
		l.guard(nil, fn)
	}
}

// guard runs fn for handler, or for nobody, and survives its panic.
func (l *Loop) guard(handler Handler, fn func()) {
	defer func() {
		if value := recover(); value != nil {
			l.panicked(handler, value)
		}
	}()
	fn()
}

// panicked runs inside a deferred function, where the stack of the panic is
// still there to print.
func (l *Loop) panicked(handler Handler, value any) {
	stack := debug.Stack()
	if handler != nil {
		l.guard(nil, func() { handler.OnPanic(value, stack) })
		return
	}
	if l.options.OnPanic == nil {
		panic(value)
	}
	l.options.OnPanic(value, stack)
}
