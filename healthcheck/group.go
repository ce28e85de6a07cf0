package healthcheck

import (
	"slices"
	"sync"
)

// Group is the checks of one cluster. Its methods are for any thread.
type Group struct {
	checker *Checker
	cluster string
	checks  []*check
	options GroupOptions
	counts  counters

	// For the checker's thread only.
	targets  map[int32]*target
	skipping int // sessions whose last check was skipped
	closed   bool

	mu       sync.Mutex
	verdicts map[int32]Verdict
}

// Set replaces the endpoints. One whose ID and host are as they were keeps its
// state and its schedule, also when its address is another one: names move from
// address to address (logical_dns). A new one is Pending and checked soon; the
// checks of one that is gone end, and their sockets are closed. It takes effect
// in a moment. With an ID that occurs twice the last one counts.
func (g *Group) Set(targets []Target) {
	targets = slices.Clone(targets)
	g.checker.loop.Post(func() { g.set(targets) })
}

func (g *Group) set(list []Target) {
	if g.closed {
		return
	}
	wanted := make(map[int32]Target, len(list))
	for _, t := range list {
		wanted[t.ID] = t
	}
	var moved []*target
	g.mu.Lock()
	for id, old := range g.targets {
		switch now, there := wanted[id]; {
		case !there || now.Host != old.Host:
			g.remove(old)
		case now != old.Target:
			moved = append(moved, old)
		}
	}
	var added []*target
	for _, t := range list {
		if g.targets[t.ID] == nil && wanted[t.ID] == t && len(g.checks) > 0 {
			added = append(added, newTarget(g, t))
			g.targets[t.ID] = added[len(added)-1]
			g.verdicts[t.ID] = Verdict{State: Pending}
		}
	}
	g.mu.Unlock()
	for _, t := range moved {
		t.move(wanted[t.ID].Address)
	}
	for i, t := range added {
		t.begin(i, len(added))
	}
}

// remove forgets a target. The caller holds mu.
func (g *Group) remove(t *target) {
	t.end()
	delete(g.targets, t.ID)
	delete(g.verdicts, t.ID)
	if t.verdict.State >= Degraded {
		g.counts.healthy.Add(-1)
	}
}

// Close ends the checks and closes their sockets, in a moment.
func (g *Group) Close() {
	g.checker.loop.Post(func() {
		g.end()
		delete(g.checker.groups, g)
	})
}

func (g *Group) end() {
	g.closed = true
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.targets {
		g.remove(t)
	}
}

// Verdict is what the checks say of an endpoint at the moment.
func (g *Group) Verdict(id int32) Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.verdicts[id]
}

// State is the verdict's state, and the reason if it is Unhealthy.
func (g *Group) State(id int32) (State, string) {
	v := g.Verdict(id)
	return v.State, v.Reason
}

// Counts reads the group's statistics.
func (g *Group) Counts() Counts { return g.counts.read() }

// publish lets others see a target's verdict, and tells them if it is news.
func (g *Group) publish(t *target, news bool) {
	g.mu.Lock()
	g.verdicts[t.ID] = t.verdict
	g.mu.Unlock()
	if news && g.options.Changed != nil {
		g.options.Changed(t.ID, t.verdict.State, t.verdict.Reason)
	}
}
