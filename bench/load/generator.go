package load

import (
	"fmt"
	"math"
	"time"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
)

const (
	readBuffer = 256 << 10
	mostErrors = 100 // of one loop, after which it is pointless to go on
	checks     = 8   // in the time that nothing may move
)

// phase is how far a generator is.
type phase int

const (
	opening phase = iota
	running
	measuring
	frozen
)

// generator makes one loop's share of a load. It is the handler of the loop's
// alarm and of the timer that finds out whether anything moves.
type generator struct {
	plan
	loop  *eventloop.Loop
	index int
	news  chan<- news
	phase phase

	message message
	buffer  []byte // what was read last
	payload []byte // what streams write
	dialer  dialer
	queue   opener
	pace    pace

	mine        []*exchange // of Requests and Connections
	alive       int         // of mine, for Requests
	held        []*exchange // connections that only exist
	streams     []*stream
	outstanding int // exchanges begun
	sequence    uint64

	counts
	most  uint64 // this loop's share of Load.Most
	from  int64  // when the measured part began
	until int64  // and ended

	check     eventloop.Timer
	moved     uint64 // changes with everything that moves
	lastMoved uint64
	still     int
	stalled   bool
	told      [kindsOfNews]bool
}

func newGenerator(loop *eventloop.Loop, p plan, index int, to chan<- news) (*generator, error) {
	g := &generator{
		plan: p, loop: loop, index: index, news: to,
		message:  newMessage(&p.load, p.response),
		buffer:   make([]byte, readBuffer),
		dialer:   newDialer(&p),
		counts:   newCounts(),
		sequence: uint64(index) << 48,
		from:     math.MaxInt64, until: math.MaxInt64,
	}
	if p.load.Most > 0 {
		g.most = max(uint64(p.share(int(min(p.load.Most, math.MaxInt32)), index)), 1)
	}
	if p.load.Kind == bench.Streams {
		g.payload = make([]byte, p.load.Size)
	}
	if p.rated() {
		return g, g.newPace()
	}
	return g, nil
}

// clock is now, in nanoseconds of the run.
func (g *generator) clock() int64 { return int64(time.Since(g.zero)) }

// tell sends news, each kind once.
func (g *generator) tell(what news) {
	if !g.told[what] {
		g.told[what] = true
		g.news <- what
	}
}

// fail counts an error.
func (g *generator) fail(name string) {
	g.errors[name]++
	g.failures++
	if g.failures >= mostErrors || g.phase == opening {
		g.tell(broken)
	}
}

// start lets the load begin.
func (g *generator) start() {
	g.phase = running
	now := g.clock()
	g.startPace(now)
	if g.load.Kind != bench.Requests && g.load.Kind != bench.Connections {
		return
	}
	for _, x := range g.mine {
		g.release(x, now)
	}
}

// begin begins the measured part.
func (g *generator) begin() {
	g.counts.reset()
	g.phase = measuring
	g.from = g.clock()
}

// freeze ends the measured part: nothing new is sent from now on.
func (g *generator) freeze() {
	if g.phase == frozen {
		return
	}
	g.until = g.clock()
	if g.load.Kind == bench.Idle {
		g.opened = uint64(g.alive)
	}
	g.abandon()
	g.phase = frozen
	g.settle()
}

// settle tells when no answer is missing any more.
func (g *generator) settle() {
	if g.phase == frozen && (g.outstanding == 0 || g.stalled) {
		g.tell(drained)
	}
}

// finished counts an exchange that was due, whole now, and gives its
// connection back.
func (g *generator) finished(x *exchange, due, now int64) {
	g.outstanding--
	g.moved++
	if due >= g.from && due < g.until {
		record(g.latency, now-due)
	}
	if g.phase == measuring || g.phase == running {
		g.answers++
		g.up += uint64(g.message.requestSize())
		g.down += uint64(g.message.size)
		if g.load.Kind == bench.Connections {
			g.opened++
		}
		g.bound()
	}
	g.release(x, now)
}

// bound ends the load at its bound. In the warm-up it only goes on to the
// measured part.
func (g *generator) bound() {
	if g.most == 0 || g.answers < g.most {
		return
	}
	if g.phase != measuring {
		g.tell(warm)
		return
	}
	g.freeze()
	g.tell(reached)
}

// release has a connection that is free begin the next exchange, or wait for it.
func (g *generator) release(x *exchange, now int64) {
	switch {
	case g.phase == frozen:
		g.settle()
	case g.failures >= mostErrors:
	case g.rated():
		g.offer(x, now)
	default:
		x.begin(now)
	}
}

// OnEvents is the alarm: requests are due.
func (g *generator) OnEvents(uint32, uint32) {
	g.pace.armed = 0
	g.pump(g.clock())
}

// OnTimer finds out whether anything moves.
func (g *generator) OnTimer() {
	awaited := g.outstanding > 0 || g.queue.active > 0 || g.load.Kind == bench.Streams && g.phase != frozen
	if g.moved != g.lastMoved || !awaited {
		g.still = 0
	} else if g.still++; g.still >= checks {
		g.stalled = true
		g.fail("stalled")
		g.tell(broken)
		g.settle()
		return
	}
	g.lastMoved = g.moved
	g.loop.StartTimer(&g.check, g.patience/checks, g)
}

// OnPanic ends the process: a generator that goes on half broken measures
// nonsense.
func (g *generator) OnPanic(value any, stack []byte) { crash(value, stack) }

func crash(value any, stack []byte) { panic(fmt.Sprintf("%v\n%s", value, stack)) }

// close closes everything.
func (g *generator) close() {
	g.phase = frozen
	g.loop.StopTimer(&g.check)
	g.closePace()
	for _, x := range g.mine {
		x.drop(sock.Close)
	}
	for _, x := range g.held {
		x.drop(sock.Close)
	}
	for _, s := range g.streams {
		s.drop()
	}
}
