package relay

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/stats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// interest is what the daemon watches both sockets of a relay for.
const interest = sock.Readable | sock.Writable | sock.PeerShut | sock.Urgent | sock.EdgeTriggered

// rig drives one Relay between two connections on loopback. The test holds the
// other ends, takes the relay's turns, and sets its clock.
type rig struct {
	t        testing.TB
	relay    Relay
	shared   *Shared
	meter    Meter
	timeouts Timeouts
	epoll    *sock.Epoll
	sockets  Sockets
	now      int64
	status   Status
	last     Side
	splice   bool   // keep both flows with the splice engine
	ends     [2]end // what the applications hold
}

// end is an application's socket and what it has seen.
type end struct {
	fd      int
	sent    int // bytes written
	got     int // bytes read, each checked against the other side's pattern
	closed  bool
	refused bool // a write failed
	over    bool // a read has told of the end
	errno   sock.Errno
}

type rigOptions struct {
	engine   string // "copy": no splice; "splice": from the first byte; "": as the relay likes
	buffers  int    // SO_SNDBUF and SO_RCVBUF of all four sockets; 0: the kernel's
	timeouts Timeouts
}

// The counters of the rig's meter.
const (
	downstreamRx stats.Counter = iota
	downstreamTx
	upstreamRx
	upstreamTx
	istioReceived
	istioSent
	copyBytes
	spliceBytes
	counters
)

func newRig(t testing.TB, o rigOptions) *rig {
	t.Helper()
	descriptors := openDescriptors(t)
	epoll, err := sock.NewEpoll(16)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, shared: NewShared(), timeouts: o.timeouts, epoll: epoll, now: int64(time.Hour)}
	r.meter = Meter{
		Shard:        new(stats.Shard),
		DownstreamRx: downstreamRx, DownstreamTx: downstreamTx,
		UpstreamRx: upstreamRx, UpstreamTx: upstreamTx,
		IstioReceived: istioReceived, IstioSent: istioSent,
		CopyBytes: copyBytes, SpliceBytes: spliceBytes,
	}
	r.meter.Shard.Grow(int(counters))
	for _, side := range []Side{Downstream, Upstream} {
		r.sockets[side], r.ends[side].fd = pair(t, o.buffers)
	}
	r.relay.Start(r.sockets, r.shared, &r.meter, &r.timeouts, r.now, r.now)
	for i := range r.relay.flows {
		r.relay.flows[i].noSplice = o.engine == "copy"
	}
	r.splice = o.engine == "splice"
	for side, fd := range r.sockets {
		if errno := epoll.Add(fd, interest, uint64(side)); errno != 0 {
			t.Fatal(errno)
		}
	}
	t.Cleanup(func() { r.close(descriptors) })
	return r
}

// close ends what still lives and looks for descriptors left behind.
func (r *rig) close(before int) {
	if r.status != Finished {
		r.relay.Reset()
	}
	for i := range r.ends {
		if !r.ends[i].closed {
			sock.Close(r.ends[i].fd)
		}
	}
	r.shared.Close()
	r.epoll.Close()
	if now := openDescriptors(r.t); now != before {
		r.t.Errorf("%d descriptors before, %d after", before, now)
	}
}

func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// pair makes a connection on loopback.
func pair(t testing.TB, buffers int) (a, b int) {
	t.Helper()
	listener, err := sock.Listen(netip.MustParseAddrPort("127.0.0.1:0"), sock.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close(listener)
	setBuffers(t, listener, buffers)
	a, err = sock.Dial(sock.LocalAddr(listener), &sock.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	setBuffers(t, a, buffers)
	waitFor(t, listener, unix.POLLIN)
	b, _, errno := sock.Accept(listener)
	if errno != 0 {
		t.Fatal(errno)
	}
	waitFor(t, a, unix.POLLOUT)
	return a, b
}

func setBuffers(t testing.TB, fd, size int) {
	t.Helper()
	if size == 0 {
		return
	}
	for _, option := range []int{unix.SO_SNDBUF, unix.SO_RCVBUF} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, size); err != nil {
			t.Fatal(err)
		}
	}
}

func waitFor(t testing.TB, fd int, events int16) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, 1000); n == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("descriptor %d had none of the events %#x", fd, events)
		}
	}
}

// turn gives the relay one turn, waiting up to milliseconds for events.
func (r *rig) turn(milliseconds int) {
	if r.status == Again {
		r.move(r.last)
		milliseconds = 0
	}
	n := r.epoll.Wait(milliseconds)
	for i := range n {
		side, events := r.epoll.Event(i)
		if r.status == Finished {
			return
		}
		r.relay.Note(Side(side), events)
		r.move(Side(side))
	}
}

func (r *rig) move(side Side) {
	if r.splice {
		r.relay.flows[Downstream].streak, r.relay.flows[Upstream].streak = fullReads, fullReads
	}
	r.last = side
	r.status = r.relay.Move(side, r.now)
}

// timer moves the clock to the relay's next deadline and lets it come; false
// when there is none.
func (r *rig) timer() bool {
	at, ok := r.relay.Next(r.now)
	if ok && r.status != Finished {
		r.now = max(r.now, at)
		r.status = r.relay.OnTimer(r.now)
	}
	return ok
}

// until takes turns until condition holds.
func (r *rig) until(what string, condition func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for i := 1; !condition(); i++ {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain for: %s; %s", what, r)
		}
		if i%16 > 0 {
			r.turn(0) // mostly there is something: loopback delivers at once
		} else {
			r.turn(1)
		}
	}
}

// finish takes turns, and those of a waiting reset's timer, until the relay has
// finished.
func (r *rig) finish() {
	r.t.Helper()
	r.until("the relay's end", func() bool {
		if r.status != Finished && r.relay.probe != 0 {
			r.status = r.relay.OnTimer(r.now)
		}
		return r.status == Finished
	})
}

// settled takes turns until everything sent has come to rest: nobody moves, and
// all that fits is as far as it can go.
func (r *rig) settled() {
	r.t.Helper()
	quiet := 0
	r.until("rest", func() bool {
		before := r.relay
		r.turn(0)
		if before == r.relay && r.status != Again {
			quiet++
		} else {
			quiet = 0
		}
		return quiet > 20 || r.status == Finished
	})
}

func (r *rig) String() string {
	return fmt.Sprintf("status %d, end %+v, failed %v, downstream %+v %+v, upstream %+v %+v", r.status, r.relay.End(),
		r.relay.failed, r.ends[Downstream], short(&r.relay.flows[Downstream]), r.ends[Upstream], short(&r.relay.flows[Upstream]))
}

func short(f *flow) flow {
	c := *f
	c.spill = nil
	return c
}

// pattern is the byte that a side sends at an offset: any two places of both
// streams differ soon.
func pattern(side Side, offset int) byte {
	x := uint32(offset)*2654435761 + uint32(side)*0x9e3779b9
	return byte(x>>24) ^ byte(offset)
}

// write sends n more bytes of the side's pattern, as many as the kernel takes.
func (r *rig) write(side Side, n int) (written int) {
	e := &r.ends[side]
	buf := make([]byte, n)
	for i := range buf {
		buf[i] = pattern(side, e.sent+i)
	}
	written, errno := sock.Write(e.fd, buf)
	if errno != 0 && errno != sock.EAGAIN {
		e.refused = true
	}
	e.sent += written
	return written
}

// read takes up to n bytes at a side and checks them.
func (r *rig) read(side Side, n int) int {
	r.t.Helper()
	e := &r.ends[side]
	buf := make([]byte, n)
	n, errno := sock.Read(e.fd, buf)
	for i, b := range buf[:n] {
		if b != pattern(side.other(), e.got+i) {
			r.t.Fatalf("byte %d at side %d is %#x, want %#x", e.got+i, side, b, pattern(side.other(), e.got+i))
		}
	}
	e.got += n
	if n == 0 && errno != sock.EAGAIN {
		if errno == 0 && e.refused {
			errno = sock.ECONNRESET // a write was told, and the kernel tells once
		}
		e.over, e.errno = true, errno
	}
	return n
}

// readToEnd reads at a side until FIN or an error, with turns in between.
func (r *rig) readToEnd(side Side) {
	r.t.Helper()
	r.until(fmt.Sprintf("the end at side %d", side), func() bool {
		for !r.ends[side].over && r.read(side, 256<<10) > 0 {
		}
		if r.status != Finished && r.relay.probe != 0 {
			r.status = r.relay.OnTimer(r.now)
		}
		return r.ends[side].over
	})
}

// fill writes at a side until nothing moves any more: every buffer up to the
// other application is full.
func (r *rig) fill(side Side) {
	r.t.Helper()
	for quiet := 0; quiet < 20; {
		if r.write(side, 64<<10) > 0 {
			quiet = 0
		} else {
			quiet++
		}
		r.turn(1)
	}
}

func (r *rig) fin(side Side) {
	r.t.Helper()
	if errno := sock.CloseWrite(r.ends[side].fd); errno != 0 {
		r.t.Fatalf("shutdown: %v", errno)
	}
}

func (r *rig) reset(side Side) {
	sock.Reset(r.ends[side].fd)
	r.ends[side].closed = true
}

func (r *rig) expectEnd(want End) {
	r.t.Helper()
	if r.status != Finished || r.relay.End() != want {
		r.t.Errorf("status %d with end %+v, want %+v", r.status, r.relay.End(), want)
	}
}

func (r *rig) expectRead(side Side, n int, errno sock.Errno) {
	r.t.Helper()
	if e := r.ends[side]; e.got != n || e.errno != errno || !e.over {
		r.t.Errorf("side %d saw %d bytes, then %q (over: %v); want %d, then %q", side, e.got, sock.Name(e.errno), e.over, n, sock.Name(errno))
	}
}

// expectMeters checks that all counters tell the same truth.
func (r *rig) expectMeters() {
	r.t.Helper()
	got := make([]uint64, counters)
	r.meter.Shard.AddTo(got)
	down, up := &r.relay.flows[Downstream], &r.relay.flows[Upstream]
	want := []uint64{down.read, up.written, up.read, down.written, down.read, up.written}
	for i, w := range want {
		if got[i] != w {
			r.t.Errorf("counter %d is %d, want %d", i, got[i], w)
		}
	}
	if sum := got[copyBytes] + got[spliceBytes]; sum != down.written+up.written {
		r.t.Errorf("engines moved %d+%d bytes, relay wrote %d", got[copyBytes], got[spliceBytes], down.written+up.written)
	}
	if r.relay.Read(Downstream) != down.read || r.relay.Read(Upstream) != up.read ||
		r.relay.Written(Downstream) != up.written || r.relay.Written(Upstream) != down.written {
		r.t.Error("Read and Written tell other sides' numbers")
	}
}

// holds is what the relay and its pools keep.
func (r *rig) expectHoldsNothing() {
	r.t.Helper()
	for side, f := range r.relay.flows {
		if f.spill != nil || f.pipe.Size != 0 || f.inPipe != 0 {
			r.t.Errorf("the flow of side %d holds a spill (%v) or a pipe (%+v)", side, f.spill != nil, f.pipe)
		}
	}
	r.expectPoolsEmpty()
}

// expectPoolsEmpty looks into every pooled pipe: none may hold a byte.
func (r *rig) expectPoolsEmpty() {
	r.t.Helper()
	for _, pipe := range r.shared.pipes {
		if n, errno := unix.Read(pipe.ReadEnd, make([]byte, 1)); errno != sock.EAGAIN {
			r.t.Fatalf("a pooled pipe holds bytes: %d, %v", n, errno)
		}
	}
	if len(r.shared.pipes) > maxIdlePipes || len(r.shared.spills) > maxIdleSpills {
		r.t.Errorf("%d pipes and %d spills are kept", len(r.shared.pipes), len(r.shared.spills))
	}
}

func (r *rig) spliced() uint64 {
	got := make([]uint64, counters)
	r.meter.Shard.AddTo(got)
	return got[spliceBytes]
}
