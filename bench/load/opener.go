package load

import "github.com/sluiceproxy/sluice/bench"

// atATime is how many connections all loops together open at a time: more would
// overflow the backlog of a listening socket, and wait a second for their SYN to
// be repeated.
const atATime = 128

// besideRate is what a stream beside carries, in bytes a second.
const besideRate = 1 << 20

// connecter is a connection that stays and has to be opened first.
type connecter interface {
	// connect starts to open it. It calls generator.isOpen when that is
	// done, or generator.fail.
	connect()
}

// opener opens connections, a bounded number at a time.
type opener struct {
	waiting []connecter
	active  int
}

// open opens all connections that stay.
func (g *generator) open() {
	g.loop.StartTimer(&g.check, g.patience/checks, g)
	n := g.share(g.load.Connections, g.index)
	switch g.load.Kind {
	case bench.Requests, bench.Connections:
		for range n {
			g.mine = append(g.mine, &exchange{g: g, fd: -1, once: g.load.Kind == bench.Connections})
		}
		g.pace.free = newRing(n)
	case bench.Idle:
		g.hold(n, false)
	case bench.Streams:
		for range n {
			g.addStream(streamOf(g.load.Direction))
		}
	}
	if g.load.Kind == bench.Requests {
		for _, x := range g.mine {
			g.queue.waiting = append(g.queue.waiting, x)
		}
	}
	if g.load.Kind != bench.Connections {
		g.alive = n
	}
	g.openBeside()
	for range max(atATime/g.load.Loops, 1) {
		g.openNext()
	}
	g.allOpen()
}

func (g *generator) openBeside() {
	g.hold(g.share(g.load.Beside.Idle, g.index), true)
	for range g.share(g.load.Beside.Streams, g.index) {
		g.addStream(paced())
	}
	for range g.share(g.load.Beside.SlowReaders, g.index) {
		g.addStream(slow())
	}
}

// hold adds connections that only exist, beside those that are measured or as
// them.
func (g *generator) hold(n int, beside bool) {
	for range n {
		x := &exchange{g: g, fd: -1, beside: beside}
		g.held = append(g.held, x)
		g.queue.waiting = append(g.queue.waiting, x)
	}
}

func (g *generator) addStream(s stream) {
	s.g, s.fd = g, -1
	g.streams = append(g.streams, &s)
	g.queue.waiting = append(g.queue.waiting, &s)
}

func (g *generator) openNext() {
	if len(g.queue.waiting) == 0 || g.failures > 0 {
		return
	}
	next := g.queue.waiting[0]
	g.queue.waiting = g.queue.waiting[1:]
	g.queue.active++
	next.connect()
}

// isOpen counts a connection that has been opened.
func (g *generator) isOpen() {
	g.moved++
	g.queue.active--
	g.openNext()
	g.allOpen()
}

func (g *generator) allOpen() {
	if g.queue.active == 0 && len(g.queue.waiting) == 0 {
		g.tell(opened)
	}
}
