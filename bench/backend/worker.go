package backend

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
)

const (
	bulkBuffer = 256 << 10 // one read or write of a stream
	echoBuffer = 64 << 10  // one read of requests; longer requests are echoed in parts

	acceptsPerTurn = 256
	acceptPause    = 50 * time.Millisecond // after accept failed, for example without descriptors
	spareConns     = 20_000                // that are kept for connections to come
)

// worker is one loop with its listening socket and connections. It is the
// handler of the listening socket.
type worker struct {
	loop     *eventloop.Loop
	listener int
	watch    eventloop.Watch
	pause    eventloop.Timer

	buffer  []byte // what was read last, of any connection
	payload []byte // what sources send
	kept    [][]byte
	conns   []*conn
	spare   []*conn
	stats   Stats
}

func newWorker(loop *eventloop.Loop, listener int) *worker {
	return &worker{loop: loop, listener: listener, buffer: make([]byte, bulkBuffer), payload: make([]byte, bulkBuffer)}
}

func (w *worker) listen() (errno sock.Errno) {
	w.watch, errno = w.loop.Watch(w.listener, sock.Readable|sock.EdgeTriggered, w, 0)
	return errno
}

// OnEvents accepts what waits.
func (w *worker) OnEvents(uint32, uint32) { w.accept() }

// OnTimer tries to accept again.
func (w *worker) OnTimer() { w.accept() }

// OnPanic ends the process: a harness that goes on half broken measures nonsense.
func (w *worker) OnPanic(value any, stack []byte) { crash(value, stack) }

func crash(value any, stack []byte) { panic(fmt.Sprintf("%v\n%s", value, stack)) }

func (w *worker) accept() {
	for range acceptsPerTurn {
		fd, _, errno := sock.Accept(w.listener)
		switch errno {
		case 0:
			w.take(fd)
		case sock.EAGAIN:
			return
		case sock.ECONNABORTED:
		default:
			w.loop.StartTimer(&w.pause, acceptPause, w)
			return
		}
	}
	w.loop.Again(w.watch, sock.Readable)
}

// take begins with a connection. It is not asked for room to write before a
// write was short: it would be reported once for every connection.
func (w *worker) take(fd int) {
	c := w.newConn()
	watch, errno := w.loop.Watch(fd, sock.Readable|sock.PeerShut|sock.EdgeTriggered, c, 0)
	if errno != 0 {
		sock.Close(fd)
		w.spare = append(w.spare, c)
		return
	}
	w.stats.Connections++
	c.fd, c.watch, c.place = fd, watch, len(w.conns)
	w.conns = append(w.conns, c)
}

func (w *worker) newConn() *conn {
	if n := len(w.spare); n > 0 {
		c := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return c
	}
	return &conn{w: w}
}

// remove forgets a connection and closes it.
func (w *worker) remove(c *conn) {
	w.loop.StopTimer(&c.timer)
	w.loop.Forget(c.watch)
	sock.Close(c.fd)
	c.keep(nil)
	last := len(w.conns) - 1
	w.conns[c.place] = w.conns[last]
	w.conns[c.place].place = c.place
	w.conns[last] = nil
	w.conns = w.conns[:last]
	*c = conn{w: w}
	if len(w.spare) < spareConns {
		w.spare = append(w.spare, c)
	}
}

func (w *worker) takeKept() []byte {
	if n := len(w.kept); n > 0 {
		b := w.kept[n-1]
		w.kept = w.kept[:n-1]
		return b
	}
	return make([]byte, echoBuffer)
}

func (w *worker) close() {
	w.loop.StopTimer(&w.pause)
	w.loop.Forget(w.watch)
	sock.Close(w.listener)
	for len(w.conns) > 0 {
		w.remove(w.conns[0])
	}
}
