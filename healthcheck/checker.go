package healthcheck

import (
	"fmt"
	"sync"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/eventloop"
)

// readBuffer is what one check can have read and not yet understood: twice
// what an exchange may leave.
const readBuffer = 2 * maxUnread

// Checker runs all checks of a process on one event loop of its own.
type Checker struct {
	options Options
	loop    *eventloop.Loop
	running sync.WaitGroup
	started bool

	// For the loop's thread only.
	groups  map[*Group]struct{}
	scratch []byte // of whichever check reads at the moment
	phases  uint32 // how many checks were given a phase
}

// New makes a checker. Start runs it; Close must be called in any case.
func New(o Options) (*Checker, error) {
	loop, err := eventloop.New(eventloop.Options{OnPanic: o.OnPanic, Background: true})
	if err != nil {
		return nil, fmt.Errorf("health checks: %w", err)
	}
	return &Checker{
		options: o,
		loop:    loop,
		groups:  make(map[*Group]struct{}),
		scratch: make([]byte, readBuffer),
	}, nil
}

// Start begins to check. It is called once, by whoever calls Close.
func (c *Checker) Start() {
	c.started = true
	c.running.Go(c.loop.Run)
}

// Close ends all checks, closes their sockets and waits until that is done. It
// is called once, and not from the checker's own thread. Groups may be used on,
// to no effect.
func (c *Checker) Close() {
	if !c.started {
		c.loop.Close()
		return
	}
	c.loop.Post(func() {
		for g := range c.groups {
			g.end()
		}
	})
	c.loop.Stop()
	c.running.Wait()
}

// NewGroup makes the group of a cluster's checks, which must have passed
// config.Validate, without targets. Any thread.
func (c *Checker) NewGroup(cluster string, checks []config.HealthCheck, o GroupOptions) *Group {
	g := &Group{
		checker:  c,
		cluster:  cluster,
		options:  o,
		targets:  make(map[int32]*target),
		verdicts: make(map[int32]Verdict),
	}
	for i := range checks {
		g.checks = append(g.checks, compile(&checks[i]))
	}
	c.loop.Post(func() { c.groups[g] = struct{}{} })
	return g
}
