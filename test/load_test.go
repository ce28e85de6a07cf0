package test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// load is clients that connect, talk and close, one connection after the other,
// on several goroutines.
type load struct {
	served   atomic.Int64
	failed   atomic.Int64
	excused  atomic.Bool // failures are expected now
	cutOff   atomic.Bool // resets are expected, and counted
	resets   atomic.Int64
	paused   sync.RWMutex
	stop     chan struct{}
	halt     func() // closes stop, once
	clients  sync.WaitGroup
	mu       sync.Mutex
	failures []error // some of them
}

// startLoad begins it: so many clients to each address. It ends with the test at
// the latest, before the network does.
func startLoad(from *testnet.Host, clients int, addresses ...string) *load {
	l := &load{stop: make(chan struct{})}
	l.halt = sync.OnceFunc(func() { close(l.stop) })
	from.Cleanup(func() {
		l.halt()
		l.clients.Wait()
	})
	for _, address := range addresses {
		for range clients {
			l.clients.Go(func() {
				for l.goesOn() {
					l.one(from, address)
				}
			})
		}
	}
	return l
}

func (l *load) goesOn() bool {
	select {
	case <-l.stop:
		return false
	default:
		return true
	}
}

func (l *load) one(from *testnet.Host, address string) {
	l.paused.RLock()
	defer l.paused.RUnlock()
	excused := l.excused.Load()
	conn, err := from.Dial("tcp", address)
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(hung)) // or talk fails
		_, _, err = talk(conn)
		conn.Close()
	}
	switch {
	case err == nil:
		l.served.Add(1)
	case excused || l.excused.Load():
	case l.cutOff.Load() && errors.Is(err, syscall.ECONNRESET):
		l.resets.Add(1)
	default:
		l.failed.Add(1)
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.failures) < 10 {
			l.failures = append(l.failures, fmt.Errorf("%s: to %s: %w", time.Now().UTC().Format(time.RFC3339Nano), address, err))
		}
	}
}

// more waits until so many more were served.
func (l *load) more(w *world, n int64) {
	w.Helper()
	goal := l.served.Load() + n
	w.eventually(func() error {
		if now := l.served.Load(); now < goal {
			return fmt.Errorf("%d served, want %d; %w", now, goal, errors.Join(l.some()...))
		}
		return nil
	})
}

func (l *load) some() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]error(nil), l.failures...)
}

// without does something while no connection of the load is open.
func (l *load) without(do func()) {
	l.paused.Lock()
	defer l.paused.Unlock()
	do()
}

// end stops it, and fails the test for each connection that was not served.
func (l *load) end(t testing.TB) {
	t.Helper()
	l.halt()
	l.clients.Wait()
	for _, err := range l.some() {
		t.Error(err)
	}
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d connections failed, %d were served", n, l.served.Load())
	}
}
