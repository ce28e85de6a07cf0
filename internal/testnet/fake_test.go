package testnet

import (
	"fmt"
	"runtime"
	"strings"
)

// fakeTB is a test whose failures are looked at instead of reported.
type fakeTB struct {
	failures []string
	cleanups []func()
}

func (f *fakeTB) Helper()                           {}
func (f *fakeTB) Logf(string, ...any)               {}
func (f *fakeTB) Failed() bool                      { return len(f.failures) > 0 }
func (f *fakeTB) Cleanup(fn func())                 { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTB) Errorf(format string, args ...any) { f.fail(format, args) }

func (f *fakeTB) Fatalf(format string, args ...any) {
	f.fail(format, args)
	runtime.Goexit()
}

func (f *fakeTB) fail(format string, args []any) {
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

// run runs a test to its end, cleanups included, and returns its failures.
func (f *fakeTB) run(test func(TB)) string {
	f.inGoroutine(func() { test(f) })
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		f.inGoroutine(f.cleanups[i])
	}
	return strings.Join(f.failures, "\n")
}

// inGoroutine gives Fatalf a goroutine that it may end.
func (f *fakeTB) inGoroutine(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	<-done
}
