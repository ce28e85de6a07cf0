package testnet

import (
	"bytes"
	"sync"
)

// logBuffer collects output that one goroutine writes and others read.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends, and never fails.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns all that was written so far.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
