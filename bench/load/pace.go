package load

import (
	"fmt"

	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
)

// pace is when requests are due: at constant intervals, whatever becomes of
// them. Those that are due and have no connection wait in order; as their times
// are known, the queue is nothing but a number.
type pace struct {
	alarm    int
	watch    eventloop.Watch
	first    int64
	interval float64 // nanoseconds between this loop's requests
	next     uint64  // the first that has not been begun
	free     ring
	armed    int64 // what the alarm is set for; 0 = nothing
}

func (p *pace) due() int64 { return p.first + int64(float64(p.next)*p.interval) }

func (g *generator) newPace() error {
	alarm, err := sock.NewAlarm()
	if err != nil {
		return err
	}
	g.pace.alarm = alarm
	g.pace.interval = float64(g.load.Loops) * 1e9 / g.load.Rate
	var errno sock.Errno
	g.loop.Do(func() {
		g.pace.watch, errno = g.loop.Watch(alarm, sock.Readable|sock.EdgeTriggered, g, 0)
	})
	if errno != 0 {
		sock.Close(alarm)
		g.pace.alarm = 0
		return fmt.Errorf("watching a timerfd: %w", errno)
	}
	return nil
}

func (g *generator) closePace() {
	if g.pace.alarm > 0 {
		g.loop.Forget(g.pace.watch)
		sock.Close(g.pace.alarm)
		g.pace.alarm = 0
	}
}

// startPace has the loops' requests fall between each other's.
func (g *generator) startPace(now int64) {
	if !g.rated() {
		return
	}
	step := g.pace.interval / float64(g.load.Loops)
	g.pace.first = now + int64(step*float64(g.index+1))
}

// offer gives a free connection the request that has waited longest, or has it
// wait for one.
func (g *generator) offer(x *exchange, now int64) {
	x.freeAt = now
	g.pace.free.push(x)
	g.pump(now)
}

// pump begins what is due as long as connections are free, and sets the alarm
// for what is due next.
func (g *generator) pump(now int64) {
	p := &g.pace
	if g.phase != running && g.phase != measuring {
		return
	}
	for p.free.n > 0 {
		due := p.due()
		if due > now {
			// What the clock says now, and not at the beginning of this turn.
			if now = g.clock(); due > now {
				if p.armed != due {
					p.armed = due
					sock.SetAlarm(p.alarm, due-now)
				}
				return
			}
		}
		p.next++
		x := p.free.pop()
		if due >= g.from && x.freeAt <= due {
			record(g.lag, g.clock()-due)
		}
		x.begin(due)
	}
}

// mostAbandoned bounds how many requests are counted one by one that were never
// sent.
const mostAbandoned = 1_000_000

// abandon counts the requests that were due in the measured part and never
// begun, as having taken until its end: less than what they would have taken.
func (g *generator) abandon() {
	p := &g.pace
	if !g.rated() || g.phase != measuring {
		return
	}
	left := uint64(max(0, float64(g.until-p.due())/p.interval))
	step := left/mostAbandoned + 1
	for ; p.due() < g.until; p.next += step {
		if due := p.due(); due >= g.from {
			recordMany(g.latency, g.until-due, int64(step))
		}
	}
}

// ring is a queue of free connections: each has its turn, as in an application
// with so many.
type ring struct {
	slots []*exchange
	head  int
	n     int
}

func newRing(size int) ring { return ring{slots: make([]*exchange, size)} }

func (r *ring) push(x *exchange) {
	r.slots[(r.head+r.n)%len(r.slots)] = x
	r.n++
}

func (r *ring) pop() *exchange {
	x := r.slots[r.head]
	r.head = (r.head + 1) % len(r.slots)
	r.n--
	return x
}
