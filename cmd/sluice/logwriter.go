package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// logLines is how many lines wait for a slow reader of standard error.
	logLines = 1024

	// logCloseTime bounds the wait for the last lines.
	logCloseTime = time.Second
)

// logWriter writes the daemon's own log from a goroutine of its own. A pipe that
// nobody reads (kubelet hangs, a terminal is stopped by ^S) would otherwise hold
// up whoever logs: a drain that never ends, and after a panic an event loop.
// Lines that find no room are dropped, and the log tells how many.
type logWriter struct {
	out     io.Writer
	lines   chan []byte
	dropped atomic.Int64
	done    chan struct{}

	mu     sync.RWMutex // Close excludes Write
	closed bool
}

func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{out: out, lines: make(chan []byte, logLines), done: make(chan struct{})}
	go w.run()
	return w
}

// Write takes a line, or drops it; it never waits and never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return len(line), nil
	}
	select {
	case w.lines <- bytes.Clone(line):
	default:
		w.dropped.Add(1)
	}
	return len(line), nil
}

func (w *logWriter) run() {
	defer close(w.done)
	for line := range w.lines {
		w.out.Write(line)
		if n := w.dropped.Swap(0); n > 0 {
			fmt.Fprintf(w.out, `{"level":"warn","msg":"lines of this log were dropped, because nobody read it","lines":%d}`+"\n", n)
		}
	}
}

// Close writes what waits, and gives it up when that takes too long.
func (w *logWriter) Close() {
	w.mu.Lock()
	w.closed = true
	close(w.lines)
	w.mu.Unlock()
	select {
	case <-w.done:
	case <-time.After(logCloseTime):
	}
}
