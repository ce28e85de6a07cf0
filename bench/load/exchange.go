package load

import (
	"time"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
)

const (
	portPause = time.Millisecond // before a port is looked for again
	portTries = 1000
)

// exchange is a connection that carries requests and responses: always the
// same, or under bench.Connections a new one for each.
type exchange struct {
	g     *generator
	fd    int // -1: not connected
	watch eventloop.Watch

	due      int64
	sequence uint64
	busy     bool // a response is awaited
	first    bool // the request is the connection's first
	opening  bool // the exchange is made to open the connection
	once     bool // each request has a new connection
	beside   bool // not one of those that are measured
	written  int
	got      int
	freeAt   int64 // since when it has waited for a request to be due

	again eventloop.Timer // looks for a port again
	tries int
}

// connect opens the connection with an exchange.
func (x *exchange) connect() {
	x.opening = true
	x.begin(x.g.clock())
}

// begin sends the request that was due, over a new connection where there is
// none.
func (x *exchange) begin(due int64) {
	g := x.g
	g.outstanding++
	g.sequence++
	x.due, x.sequence, x.busy, x.first = due, g.sequence, true, false
	x.written, x.got = 0, 0
	if x.fd < 0 {
		x.dial()
		return
	}
	x.write()
}

// dial connects and writes at once: over loopback and between namespaces the
// handshake is done when connect returns, and waiting for that would cost a turn.
func (x *exchange) dial() {
	fd, errno := x.g.dialer.dial()
	if errno == sock.EADDRNOTAVAIL && x.tries < portTries {
		// All ports rest in TIME_WAIT: the generator's fault, nobody else's.
		x.tries++
		x.g.loop.StartTimer(&x.again, portPause, x)
		return
	}
	if errno != 0 {
		x.fail("connect", errno)
		return
	}
	x.fd, x.first, x.tries = fd, true, 0
	if x.write() {
		x.register()
	}
}

func (x *exchange) register() {
	interest := uint32(sock.Readable | sock.PeerShut | sock.EdgeTriggered)
	if !x.once || x.written < len(x.g.message.request(x)) {
		interest |= sock.Writable
	}
	watch, errno := x.g.loop.Watch(x.fd, interest, x, 0)
	if errno != 0 {
		x.fail("epoll_ctl", errno)
		return
	}
	x.watch = watch
}

// OnTimer looks for a port again.
func (x *exchange) OnTimer() { x.dial() }

// OnPanic ends the process.
func (x *exchange) OnPanic(value any, stack []byte) { crash(value, stack) }

// OnEvents goes on with the request and the response.
func (x *exchange) OnEvents(_, events uint32) {
	if x.busy && events&(sock.Writable|sock.Failed) != 0 && !x.write() {
		return
	}
	if events&(sock.Readable|sock.PeerShut|sock.Hangup|sock.Failed) != 0 {
		x.read(events)
	}
}

// write writes what is missing of the request; false when the exchange has
// failed.
func (x *exchange) write() bool {
	for request := x.g.message.request(x); x.written < len(request); {
		n, errno := sock.Write(x.fd, request[x.written:])
		if errno == sock.EAGAIN {
			return true
		}
		if errno != 0 {
			op := "write"
			if x.first && x.written == 0 {
				op = "connect"
			}
			x.fail(op, errno)
			return false
		}
		x.written += n
	}
	return true
}

// read takes what is there of the response.
func (x *exchange) read(events uint32) {
	for {
		g := x.g
		n, errno := sock.Read(x.fd, g.buffer)
		if errno == sock.EAGAIN {
			return
		}
		if errno != 0 {
			x.fail("read", errno)
			return
		}
		if n == 0 {
			x.failed("closed early")
			return
		}
		if !x.busy || x.got+n > g.message.size || !g.message.matches(g.buffer[:n], x) {
			x.failed("wrong bytes")
			return
		}
		if x.got += n; x.got == g.message.size && !x.whole() {
			return
		}
		if n < len(g.buffer) && events&(sock.PeerShut|sock.Hangup) == 0 {
			return
		}
	}
}

// whole ends an exchange whose response is complete; false when the connection
// is not to be read any more.
func (x *exchange) whole() bool {
	g := x.g
	x.busy = false
	if x.opening {
		x.opening = false
		g.outstanding--
		g.isOpen()
		return true
	}
	now := g.clock()
	if x.once {
		x.drop(ending(g.load.Ending))
		g.finished(x, x.due, now)
		return false
	}
	g.finished(x, x.due, now)
	return x.fd >= 0
}

func ending(e bench.Ending) func(fd int) {
	if e == bench.RST {
		return sock.Reset
	}
	return sock.Close
}

func (x *exchange) fail(op string, errno sock.Errno) { x.failed(op + ": " + sock.Name(errno)) }

// failed counts the error and gives the connection up. New connections go on
// with the next one; others are missing from then on.
func (x *exchange) failed(name string) {
	g := x.g
	g.fail(name)
	x.drop(sock.Close)
	if x.busy {
		x.busy = false
		g.outstanding--
	}
	if x.once {
		g.release(x, g.clock())
		return
	}
	if !x.beside {
		g.lost()
	}
	g.settle()
}

// lost counts a connection that is missing from now on.
func (g *generator) lost() {
	g.alive--
	if g.alive <= 0 && g.phase != frozen {
		g.tell(broken)
	}
}

// drop closes the connection, if there is one.
func (x *exchange) drop(end func(fd int)) {
	x.g.loop.StopTimer(&x.again)
	if x.fd < 0 {
		return
	}
	x.g.loop.Forget(x.watch)
	end(x.fd)
	x.fd, x.watch = -1, 0
}
