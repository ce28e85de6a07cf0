package healthcheck

import (
	"io"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// status is a server whose answer a test changes.
func status(t *testing.T, answer *atomic.Value, connections, requests *atomic.Int64) netip.AddrPort {
	return serve(t, func(conn *served) {
		connections.Add(1)
		for headEnd([]byte(readRequest(conn)), 0) > 0 {
			requests.Add(1)
			io.WriteString(conn, answer.Load().(string))
		}
	})
}

const (
	good     = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	bad      = "HTTP/1.1 500 no\r\nContent-Length: 2\r\n\r\nno"
	degraded = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-envoy-degraded: 1\r\n\r\n"
)

// An endpoint goes all ways, over one connection, and the event log has them.
func TestLifeOfAnEndpoint(t *testing.T) {
	var answer atomic.Value
	var connections, requests atomic.Int64
	answer.Store(good)
	r := newRig(t)
	r.watch(status(t, &answer, &connections, &requests), fast(config.HealthCheckHTTP))
	r.expect(Healthy)
	answer.Store(bad)
	r.expect(Unhealthy)
	answer.Store(good)
	r.expect(Healthy)
	answer.Store(degraded)
	r.expect(Degraded)
	answer.Store(good)
	r.expect(Healthy)
	want := []EventType{EventAdd, EventEject, EventAdd, EventDegraded, EventNoLongerDegraded}
	if got := r.heard(); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	if c := r.group.Counts(); connections.Load() != 1 || c.Healthy != 1 || c.Failure == 0 || c.NetworkFailure != 0 {
		t.Errorf("%d connections, %+v", connections.Load(), c)
	}
}

func TestFirstFailureIsAnEvent(t *testing.T) {
	r := newRig(t)
	r.watch(testnet.ClosedPort(t), fast(config.HealthCheckTCP))
	r.expect(Unhealthy)
	eventually(t, "more failures", func() bool { return r.group.Counts().Failure >= 3 })
	if got := r.heard(); !slices.Equal(got, []EventType{EventFailure}) {
		t.Errorf("events %v", got)
	}
	if c := r.group.Counts(); c.NetworkFailure != c.Failure || c.Healthy != 0 || c.Success != 0 {
		t.Errorf("%+v", c)
	}
}

func TestWithoutReuse(t *testing.T) {
	var answer atomic.Value
	var connections, requests atomic.Int64
	answer.Store(good)
	c := fast(config.HealthCheckHTTP)
	c.ReuseConnection = false
	r := newRig(t)
	r.watch(status(t, &answer, &connections, &requests), c)
	eventually(t, "three connections", func() bool { return connections.Load() >= 3 })
	if connections.Load() < requests.Load() {
		t.Errorf("%d requests on %d connections", requests.Load(), connections.Load())
	}
}

// A server that closes after each answer, without saying so, is not unhealthy.
func TestServerThatClosesBetweenChecks(t *testing.T) {
	r := newRig(t)
	r.watch(serve(t, func(conn *served) {
		readRequest(conn)
		io.WriteString(conn, good)
	}), fast(config.HealthCheckHTTP))
	r.expect(Healthy)
	eventually(t, "more checks", func() bool { return r.group.Counts().Success >= 5 })
	if c := r.group.Counts(); c.Failure != 0 {
		t.Errorf("%+v", c)
	}
}

// The same, but it closes only when the next request has come.
func TestServerThatClosesOnTheNextRequest(t *testing.T) {
	r := newRig(t)
	r.watch(serve(t, func(conn *served) {
		readRequest(conn)
		io.WriteString(conn, good)
		readRequest(conn)
	}), fast(config.HealthCheckHTTP))
	r.expect(Healthy)
	eventually(t, "more checks", func() bool { return r.group.Counts().Success >= 5 })
	if c := r.group.Counts(); c.Failure != 0 {
		t.Errorf("%+v", c)
	}
}

func TestSeveralChecks(t *testing.T) {
	var answer atomic.Value
	var connections, requests atomic.Int64
	answer.Store(bad)
	r := newRig(t)
	r.watch(status(t, &answer, &connections, &requests), fast(config.HealthCheckTCP), fast(config.HealthCheckHTTP))
	if v := r.expect(Unhealthy); v.Failure != Active {
		t.Errorf("failure %s", v.Failure)
	}
	answer.Store(good)
	r.expect(Healthy)
}

// What this host lacks is not held against an endpoint.
func TestFaultOfThisHost(t *testing.T) {
	var fault atomic.Bool
	r := newRig(t)
	r.options.Dial = func(a netip.AddrPort) (int, error) {
		if fault.Load() {
			return -1, &sock.Error{Op: "socket for", Addr: a, Errno: sock.EMFILE}
		}
		return dial(a)
	}
	r.watch(serve(t, hold), fast(config.HealthCheckTCP))
	r.expect(Healthy)
	fault.Store(true)
	receive(t, "a skipped check", r.skips)
	eventually(t, "more skipped checks", func() bool { return r.group.Counts().Skipped >= 5 })
	if got, _ := r.group.State(1); got != Healthy || len(r.skips) != 0 {
		t.Errorf("%s, told %d times more", got, len(r.skips))
	}
	fault.Store(false)
	before := r.group.Counts().Success
	eventually(t, "checks that pass", func() bool { return r.group.Counts().Success > before })
	if c := r.group.Counts(); c.Failure != 0 || c.Healthy != 1 {
		t.Errorf("%+v", c)
	}
}

// One endpoint that this host cannot check beside one that it can is told once.
func TestSkippedBesideOthers(t *testing.T) {
	r := newRig(t)
	address := serve(t, drain)
	without := netip.MustParseAddrPort("[::1]:9")
	r.options.Dial = func(a netip.AddrPort) (int, error) {
		if a == without {
			return -1, sock.EADDRNOTAVAIL
		}
		return dial(a)
	}
	r.group = r.checker.NewGroup("ratings", []config.HealthCheck{fast(config.HealthCheckTCP)}, r.options)
	r.group.Set([]Target{{ID: 1, Address: address}, {ID: 2, Address: without}})
	r.expect(Healthy)
	eventually(t, "many checks of both", func() bool { c := r.group.Counts(); return c.Skipped >= 5 && c.Success >= 5 })
	if len(r.skips) != 1 {
		t.Errorf("told %d times, want once", len(r.skips))
	}
	r.group.Set([]Target{{ID: 1, Address: address}})
	eventually(t, "nothing is skipped", func() (none bool) {
		r.checker.loop.Do(func() { none = r.group.skipping == 0 })
		return none
	})
}

// A target that goes takes its sockets with it; one that stays keeps its state
// and its connection.
func TestSet(t *testing.T) {
	closed := make(chan struct{}, 10)
	var answer atomic.Value
	var connections, requests atomic.Int64
	answer.Store(good)
	stays := status(t, &answer, &connections, &requests)
	goes := serve(t, func(conn *served) {
		readRequest(conn)
		drain(conn)
		closed <- struct{}{}
	})
	r := newRig(t)
	r.group = r.checker.NewGroup("ratings", []config.HealthCheck{fast(config.HealthCheckHTTP)}, r.options)
	r.group.Set([]Target{{ID: 1, Address: stays}, {ID: 2, Address: goes}})
	r.expect(Healthy)
	if v := r.group.Verdict(2); v.State != Pending {
		t.Errorf("an endpoint that never answered is %s", v.State)
	}
	eventually(t, "the second check", func() bool { return r.group.Counts().Attempt > 2 })
	r.group.Set([]Target{{ID: 1, Address: stays}})
	receive(t, "the end of the connection", closed)
	eventually(t, "the endpoint to go", func() bool { return r.group.Verdict(2).State == Unknown })
	before := requests.Load()
	eventually(t, "more checks", func() bool { return requests.Load() > before })
	if got, _ := r.group.State(1); got != Healthy || connections.Load() != 1 || len(r.changes) != 0 {
		t.Errorf("%s, %d connections, %d changes", got, connections.Load(), len(r.changes))
	}
	r.group.Set([]Target{{ID: 1, Address: testnet.ClosedPort(t)}})
	r.expect(Unhealthy)
	r.group.Close()
	eventually(t, "the end of the group", func() bool { return r.group.Verdict(1).State == Unknown })
	if c := r.group.Counts(); c.Healthy != 0 {
		t.Errorf("%+v", c)
	}
}

// An endpoint that moves keeps what is known of it: its thresholds count, and the
// event log has no second first check.
func TestMove(t *testing.T) {
	r := newRig(t)
	var answer atomic.Value
	var connections, requests atomic.Int64
	answer.Store(good)
	r.watch(status(t, &answer, &connections, &requests), fast(config.HealthCheckHTTP))
	r.expect(Healthy)
	r.group.Set([]Target{{ID: 1, Address: testnet.ClosedPort(t)}})
	r.expect(Unhealthy)
	if c := r.group.Counts(); c.Failure < 3 {
		t.Errorf("unhealthy after %d failures, want 3", c.Failure)
	}
	r.group.Set([]Target{{ID: 1, Address: status(t, &answer, &connections, &requests)}})
	r.expect(Healthy)
	if got := r.heard(); !slices.Equal(got, []EventType{EventAdd, EventEject, EventAdd}) {
		t.Errorf("events %v", got)
	}
}

// A check that runs when its endpoint moves is made at the new address.
func TestMoveDuringACheck(t *testing.T) {
	r := newRig(t)
	begun := make(chan struct{}, 10)
	r.watch(serve(t, func(conn *served) { readRequest(conn); begun <- struct{}{}; drain(conn) }), slow(config.HealthCheckHTTP))
	receive(t, "a check", begun)
	r.group.Set([]Target{{ID: 1, Address: serve(t, says(good))}})
	r.expect(Healthy)
}

// Without traffic the second check comes after no_traffic_interval, by the
// loop's clock.
func TestNoTraffic(t *testing.T) {
	r := newRig(t)
	var traffic atomic.Bool
	r.options.HasTraffic = traffic.Load
	c := fast(config.HealthCheckTCP)
	c.NoTrafficInterval = time.Hour
	r.watch(serve(t, drain), c)
	r.expect(Healthy)
	r.checker.loop.Do(func() {
		if s := &r.group.targets[1].sessions[0]; s.cycle != int64(time.Hour) {
			t.Errorf("the next check comes after %v", time.Duration(s.cycle))
		}
	})
}

// A panic in one check is reported, and neither blames the endpoint nor stops
// the checks.
func TestPanic(t *testing.T) {
	panics := make(chan any, 100)
	checker, err := New(Options{OnPanic: func(value any, _ []byte) { panics <- value }})
	if err != nil {
		t.Fatal(err)
	}
	checker.Start()
	t.Cleanup(checker.Close)
	r := &rig{t: t, checker: checker, changes: make(chan change, 100)}
	calls := 0
	r.options = GroupOptions{Changed: r.note, Dial: func(a netip.AddrPort) (int, error) {
		if calls++; calls < 3 {
			panic("dial")
		}
		return dial(a)
	}}
	r.watch(serve(t, drain), fast(config.HealthCheckTCP))
	if got := receive(t, "a panic", panics); got != "dial" {
		t.Errorf("panic %v", got)
	}
	r.expect(Healthy)
}

func TestCloseEndsRunningChecks(t *testing.T) {
	closed := make(chan struct{})
	begun := make(chan struct{}, 1)
	address := serve(t, func(conn *served) {
		readRequest(conn)
		begun <- struct{}{}
		drain(conn)
		close(closed)
	})
	checker, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	checker.Start()
	g := checker.NewGroup("ratings", []config.HealthCheck{slow(config.HealthCheckHTTP)}, GroupOptions{Dial: dial})
	g.Set([]Target{{ID: 1, Address: address}})
	receive(t, "a check", begun)
	checker.Close()
	receive(t, "the end of the connection", closed)
	g.Set([]Target{{ID: 2, Address: address}}) // to no effect
	g.Close()
}

func TestCloseOfCheckerThatNeverStarted(t *testing.T) {
	checker, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	checker.NewGroup("ratings", nil, GroupOptions{}).Set([]Target{{ID: 1}})
	checker.Close()
}

// session is the only session of endpoint 1, for functions on the loop.
func (r *rig) session() *session { return &r.group.targets[1].sessions[0] }

// A loop that is behind finds the answer and the end of the timeout together.
func TestAnswerThatWaitsWhenTheTimeIsUp(t *testing.T) {
	answered := make(chan struct{})
	asked := make(chan struct{})
	r := newRig(t)
	r.watch(serve(t, func(conn *served) {
		readRequest(conn)
		asked <- struct{}{}
		<-asked
		io.WriteString(conn, good)
		close(answered)
		drain(conn)
	}), slow(config.HealthCheckHTTP))
	receive(t, "a request", asked)
	r.checker.loop.Do(func() {
		s := r.session()
		asked <- struct{}{}
		<-answered
		r.checker.loop.StopTimer(&s.timer)
		s.OnTimer()
	})
	r.expect(Healthy)
}

// The same for a connection that is made when the time is up.
func TestConnectionThatWaitsWhenTheTimeIsUp(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	r.options.Dial = func(a netip.AddrPort) (int, error) {
		fd, err := dial(a)
		if err == nil {
			eventually(t, "a connection", func() bool { return sock.PeerAddr(fd).IsValid() })
			r.checker.loop.Post(func() { close(hold) })
		}
		return fd, err
	}
	r.group = r.checker.NewGroup("ratings", []config.HealthCheck{slow(config.HealthCheckTCP)}, r.options)
	address := serve(t, drain)
	r.checker.loop.Do(func() {
		r.group.set([]Target{{ID: 1, Address: address}})
		s := r.session()
		r.checker.loop.StopTimer(&s.timer)
		s.OnTimer() // begins
		r.checker.loop.StopTimer(&s.timer)
		s.OnTimer() // and is over before the loop has looked at epoll
	})
	r.expect(Healthy)
	receive(t, "the dial", hold)
}

func TestLateChecksAreCounted(t *testing.T) {
	r := newRig(t)
	r.watch(serve(t, drain), slow(config.HealthCheckTCP))
	r.expect(Healthy)
	r.checker.loop.Do(func() {
		loop := r.checker.loop
		r.session().plan(loop.Now()-int64(7*time.Minute), int64(time.Hour))
	})
	eventually(t, "a late check", func() bool { return r.group.Counts().Success == 2 })
	if c := r.group.Counts(); c.Late != 1 {
		t.Errorf("%+v", c)
	}
}

// Checks that exchange nothing knock; others dial.
func TestKnock(t *testing.T) {
	var dials, knocks atomic.Int64
	r := newRig(t)
	r.options.Dial = func(a netip.AddrPort) (int, error) { dials.Add(1); return dial(a) }
	r.options.Knock = func(a netip.AddrPort) (int, error) {
		knocks.Add(1)
		return sock.Dial(a, &sock.DialOptions{DelayAck: true})
	}
	r.watch(serve(t, says(good)), slow(config.HealthCheckTCP), slow(config.HealthCheckHTTP))
	r.expect(Healthy)
	if dials.Load() != 1 || knocks.Load() != 1 {
		t.Errorf("%d dials and %d knocks", dials.Load(), knocks.Load())
	}
}
