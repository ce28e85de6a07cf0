package accesslog

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// complainEvery is how often trouble with one file is told.
const complainEvery = time.Minute

// keepAtMost is how large a buffer may be and still be kept when three quarters
// of it went unused.
const keepAtMost = 1 << 20

// file collects lines in memory and writes them from one goroutine, run.
type file struct {
	limit   int
	log     *zap.Logger
	wake    chan struct{} // capacity 1
	done    chan struct{} // closed when run has ended
	dropped atomic.Uint64

	mu       sync.Mutex
	pending  []byte // whole lines
	inflight int    // bytes that run has taken and not yet written
	interval time.Duration
	reopen   bool
	stop     bool
	out      *output // changed by run only, under mu

	// Of run alone.
	writing  []byte // what is left of it is at head
	head     int
	begun    bool // what is at head is the rest of a line
	complain time.Time
}

func newFile(out *output, limit int, interval time.Duration, log *zap.Logger) *file {
	return &file{
		out: out, limit: limit, interval: interval, log: log,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// append adds a line, or drops and counts it. It never waits for a write.
func (f *file) append(line []byte) {
	f.mu.Lock()
	before := len(f.pending)
	if f.stop || f.inflight+before+len(line) > f.limit {
		f.mu.Unlock()
		f.dropped.Add(1)
		return
	}
	f.pending = append(f.pending, line...)
	f.mu.Unlock()
	if before < wakeAt && before+len(line) >= wakeAt {
		f.poke()
	}
}

// poke makes run look. One token is enough: run looks at everything.
func (f *file) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *file) shorten(interval time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if interval < f.interval {
		f.interval = interval
		f.poke()
	}
}

func (f *file) askReopen() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reopen = true
	f.poke()
}

func (f *file) askStop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop = true
	f.poke()
}

// giveUp ends a write that waits, if that is possible at all.
func (f *file) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out.interrupt()
}

// unwritten is how many lines are still in memory, after run has ended or
// while it hangs in a write.
func (f *file) unwritten() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := bytes.Count(f.pending, []byte("\n"))
	if f.inflight > 0 {
		lines++ // or more: run's part cannot be looked into from here
	}
	return lines
}

// run writes until it is asked to stop. After a failed write it tries again
// at the next interval, from the very byte where the write ended.
func (f *file) run() {
	defer close(f.done)
	timer := time.NewTimer(f.currentInterval())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-f.wake:
		}
		stop := f.round()
		if stop {
			f.out.close()
			return
		}
		timer.Reset(f.currentInterval())
	}
}

func (f *file) currentInterval() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.interval
}

// round follows requests and writes all there is. It says whether to end.
func (f *file) round() (stop bool) {
	f.mu.Lock()
	reopen, stop := f.reopen, f.stop
	f.mu.Unlock()
	if err := f.out.stranded(); err != nil {
		f.tell("access log cannot be written; lines are kept in memory while there is room", err)
		reopen = true
	}
	if reopen && !f.renew() {
		return stop
	}
	// What was left of the last round, then what has come since. No more than
	// that, lest requests wait for ever on a file that is slower than its lines.
	for range 2 {
		if f.take() && !f.write() {
			return stop
		}
	}
	return stop
}

// renew opens the path again. The lines that wait go to the new file, except
// for one that was begun in the old file.
func (f *file) renew() bool {
	if f.out.path == "" {
		f.swap(f.out)
		return true
	}
	next, err := openOutput(f.out.path)
	if err != nil {
		f.tell("access log cannot be reopened", err)
		f.mu.Lock()
		f.reopen = true
		f.mu.Unlock()
		return false
	}
	old := f.out
	f.finishLine(old)
	f.swap(next)
	old.close()
	return true
}

func (f *file) swap(out *output) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out, f.reopen = out, false
}

// finishLine writes the rest of a begun line to the file that has its
// beginning, or gives the line up.
func (f *file) finishLine(out *output) {
	if !f.begun {
		return
	}
	end := f.head + bytes.IndexByte(f.writing[f.head:], '\n') + 1
	if n, err := out.file.Write(f.writing[f.head:end]); err != nil || f.head+n < end {
		f.dropped.Add(1)
	}
	f.advance(end - f.head)
	f.begun = false
}

// take moves pending lines to run's own buffer, once that is empty, and says
// whether there is anything to write.
func (f *file) take() bool {
	if f.head < len(f.writing) {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if cap(f.writing) > keepAtMost && len(f.writing) < cap(f.writing)/4 {
		f.writing = nil
	}
	f.pending, f.writing = f.writing[:0], f.pending
	f.head, f.inflight = 0, len(f.writing)
	return len(f.writing) > 0
}

// write writes once, and says whether all was written.
func (f *file) write() bool {
	n, err := f.out.file.Write(f.writing[f.head:])
	f.advance(n)
	if n > 0 {
		f.begun = f.head < len(f.writing) && f.writing[f.head-1] != '\n'
	}
	if err != nil {
		f.tell("access log cannot be written; lines are kept in memory while there is room", err)
		return false
	}
	return true
}

func (f *file) advance(n int) {
	f.head += n
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inflight = len(f.writing) - f.head
}

// tell logs trouble, at most once a minute.
func (f *file) tell(message string, err error) {
	if now := time.Now(); now.Sub(f.complain) >= complainEvery {
		f.complain = now
		f.log.Warn(message, zap.Error(err), zap.Uint64("dropped_lines", f.dropped.Load()))
	}
}
