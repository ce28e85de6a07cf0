package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
)

// stage is what a *testing.T is to a test: it takes note of failures and
// tidies up at the end.
type stage struct {
	messages  io.Writer
	interrupt <-chan os.Signal // ends the play early

	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

// run runs the play, then the cleanups in reverse order. Each has a goroutine
// of its own, which Fatalf ends. An interrupted play is left behind: the
// cleanups take away what it stands on.
func (s *stage) run(play func()) {
	select {
	case <-act(play):
	case sig := <-s.interrupt:
		s.Errorf("stopped by signal: %v", sig)
	}
	s.mu.Lock()
	cleanups := s.cleanups
	s.mu.Unlock()
	for _, cleanup := range slices.Backward(cleanups) {
		<-act(cleanup)
	}
}

func act(fn func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	return done
}

// Helper does nothing: messages carry no line numbers.
func (s *stage) Helper() {}

// Failed tells whether anything was not as it must be.
func (s *stage) Failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Cleanup has fn called at the end.
func (s *stage) Cleanup(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, fn)
}

// Logf writes a message.
func (s *stage) Logf(format string, args ...any) {
	fmt.Fprintf(s.messages, format+"\n", args...)
}

// Errorf reports what is wrong and goes on.
func (s *stage) Errorf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = true
	fmt.Fprintf(s.messages, "WRONG: "+format+"\n", args...)
}

// Fatalf reports what is wrong and ends the play.
func (s *stage) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
}
