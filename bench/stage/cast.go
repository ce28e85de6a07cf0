package stage

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// cast is to testnet what a *testing.T is in a test: it takes note of failures
// and tidies up at the end. Here failures become errors.
type cast struct {
	mu       sync.Mutex
	errs     []error
	ever     bool // something has failed
	cleanups []func()
}

// do runs fn in a goroutine of its own, which Fatalf ends, and returns what
// failed meanwhile.
func (c *cast) do(fn func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	<-done
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := c.errs
	c.errs = nil
	return errors.Join(errs...)
}

// end runs the cleanups, the last one first.
func (c *cast) end() error {
	c.mu.Lock()
	cleanups := c.cleanups
	c.cleanups = nil
	c.mu.Unlock()
	var errs []error
	for _, cleanup := range slices.Backward(cleanups) {
		errs = append(errs, c.do(cleanup))
	}
	return errors.Join(errs...)
}

// Helper does nothing: messages carry no line numbers.
func (c *cast) Helper() {}

// Logf does nothing: what matters is in the errors.
func (c *cast) Logf(string, ...any) {}

// Failed tells whether anything has failed so far.
func (c *cast) Failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ever
}

// Cleanup has fn called at the end.
func (c *cast) Cleanup(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cleanups = append(c.cleanups, fn)
}

// Errorf takes note of a failure.
func (c *cast) Errorf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ever = true
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

// Fatalf takes note of a failure and ends what do runs.
func (c *cast) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	runtime.Goexit()
}
