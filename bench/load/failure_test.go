package load

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/backend"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// impatient is how long these tests let nothing move.
const impatient = time.Second

type failureCase struct {
	name   string
	answer func(i int, request []byte, c *net.TCPConn) bool
	want   string
}

func failures() []failureCase {
	const fine = 20 // requests that are answered before
	after := func(fail func(request []byte, c *net.TCPConn) bool) func(int, []byte, *net.TCPConn) bool {
		return func(i int, request []byte, c *net.TCPConn) bool {
			if i < fine {
				_, err := c.Write(request)
				return err == nil
			}
			return fail(request, c)
		}
	}
	return []failureCase{
		{"reset", after(func(request []byte, c *net.TCPConn) bool {
			c.Write(request[:10])
			c.SetLinger(0)
			c.Close()
			return false
		}), "read: ECONNRESET"},
		{"closed in the middle of a response", after(func(request []byte, c *net.TCPConn) bool {
			c.Write(request[:10])
			c.Close()
			return false
		}), "closed early"},
		{"wrong first bytes", after(func(request []byte, c *net.TCPConn) bool {
			request[0] ^= 1
			_, err := c.Write(request)
			return err == nil
		}), "wrong bytes"},
		{"wrong last bytes", after(func(request []byte, c *net.TCPConn) bool {
			request[len(request)-1] ^= 1
			_, err := c.Write(request)
			return err == nil
		}), "wrong bytes"},
		{"more than a response", after(func(request []byte, c *net.TCPConn) bool {
			_, err := c.Write(append(request, 0))
			return err == nil
		}), "wrong bytes"},
		{"no answer", after(func([]byte, *net.TCPConn) bool { return true }), "stalled"},
		{"half an answer", after(func(request []byte, c *net.TCPConn) bool {
			_, err := c.Write(request[:len(request)/2])
			return err == nil
		}), "stalled"},
	}
}

func TestFailures(t *testing.T) {
	const size = 64
	for _, tc := range failures() {
		t.Run(tc.name, func(t *testing.T) {
			l := bench.Load{Kind: bench.Requests, Protocol: bench.Own, Connections: 3, Size: size, Duration: time.Minute}
			m := mustRun(t, script(t, echoing(size, tc.answer)), l, Options{patience: impatient})
			if m.Errors[tc.want] == 0 {
				t.Errorf("errors %v, want %q", m.Errors, tc.want)
			}
		})
	}
}

// TestOneMissingAnswer shows that a single answer which never comes is seen,
// although all other connections go on.
func TestOneMissingAnswer(t *testing.T) {
	const size = 64
	lost := make(chan struct{}, 1)
	lost <- struct{}{}
	target := script(t, echoing(size, func(i int, request []byte, c *net.TCPConn) bool {
		if i > 10 {
			select {
			case <-lost:
				return true
			default:
			}
		}
		_, err := c.Write(request)
		return err == nil
	}))
	l := bench.Load{Kind: bench.Requests, Protocol: bench.Own, Connections: 4, Size: size, Most: 1000, Duration: time.Minute}
	m := mustRun(t, target, l, Options{patience: impatient})
	if m.Errors["stalled"] != 1 || m.Answers == 0 {
		t.Errorf("errors %v, %d answers; want stalled", m.Errors, m.Answers)
	}
}

func TestRefused(t *testing.T) {
	target := testnet.ClosedPort(t)
	for _, tc := range kinds() {
		t.Run(tc.name, func(t *testing.T) {
			tc.load.Protocol, tc.load.Duration = bench.Own, time.Minute
			m := mustRun(t, target, tc.load, Options{patience: impatient})
			if m.Errors["connect: ECONNREFUSED"] == 0 || len(m.Errors) != 1 {
				t.Errorf("errors %v, want connect: ECONNREFUSED", m.Errors)
			}
		})
	}
}

// TestStreamsFail has a server end streams in its own way.
func TestStreamsFail(t *testing.T) {
	for _, tc := range []struct {
		name      string
		direction bench.Direction
		serve     func(c *net.TCPConn)
		want      string
	}{
		{"down and closed", bench.Down, func(c *net.TCPConn) { c.Write(make([]byte, 1000)); c.CloseWrite() }, "closed early"},
		{"down and silent", bench.Down, func(c *net.TCPConn) { c.Write(make([]byte, 1000)) }, "stalled"},
		{"up and reset", bench.Up, func(c *net.TCPConn) {}, "ECONNRESET"},
		{"up and not read", bench.Up, func(*net.TCPConn) {}, "stalled"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			target := script(t, func(c *net.TCPConn) {
				hello := make([]byte, backend.HelloSize)
				if _, err := readFull(c, hello); err != nil {
					return
				}
				tc.serve(c)
				if tc.want == "ECONNRESET" {
					c.SetLinger(0)
					c.Close()
				}
			})
			l := bench.Load{Kind: bench.Streams, Protocol: bench.Own, Connections: 2, Size: 64 << 10, Direction: tc.direction, Duration: time.Minute}
			m := mustRun(t, target, l, Options{patience: impatient})
			for name := range m.Errors {
				if strings.Contains(name, tc.want) || tc.want == "ECONNRESET" && name == "write: EPIPE" {
					return
				}
			}
			t.Errorf("errors %v, want %q", m.Errors, tc.want)
		})
	}
}

// TestStall shows the correction for coordinated omission: a server that stops
// once for half a second makes every request late that was due meanwhile.
func TestStall(t *testing.T) {
	const size, rate, stall = 64, 1000, 500 * time.Millisecond
	once := make(chan struct{}, 1)
	once <- struct{}{}
	target := script(t, echoing(size, func(i int, request []byte, c *net.TCPConn) bool {
		if i == 100 {
			select {
			case <-once:
				stop := time.NewTimer(stall)
				<-stop.C
			default:
			}
		}
		_, err := c.Write(request)
		return err == nil
	}))
	l := bench.Load{Kind: bench.Requests, Protocol: bench.Own, Connections: 1, Size: size, Rate: rate, Duration: 4 * stall}
	m := mustRun(t, target, l, Options{})
	wantNoErrors(t, m)
	// About 500 of 2,000 requests were due in the stall and waited 250 ms on
	// average; without the correction one request would have seen it.
	if m.Latency.P90 < stall/4 || m.Latency.Max < stall {
		t.Errorf("p90 %v, max %v after a stall of %v", m.Latency.P90, m.Latency.Max, stall)
	}
}

func TestSources(t *testing.T) {
	target := netip.MustParseAddrPort("127.0.0.1:1")
	d := newDialer(&plan{target: target, load: bench.Load{Kind: bench.Connections, Ending: bench.FIN}})
	if d.turn == 0 {
		t.Fatal("connections to loopback come from one address")
	}
	away := newDialer(&plan{target: netip.MustParseAddrPort("192.0.2.1:1"), load: bench.Load{Kind: bench.Connections, Ending: bench.FIN}})
	if away.turn != 0 {
		t.Error("connections to another host would come from loopback")
	}
	seen := make(map[netip.Addr]bool)
	for range 3 * sources {
		d.nextSource()
		addr := d.options.Source.Addr()
		if !addr.IsLoopback() || addr == d.target.Addr() {
			t.Fatalf("source %s", addr)
		}
		seen[addr] = true
	}
	if len(seen) != sources {
		t.Errorf("%d sources, want %d", len(seen), sources)
	}
}

// TestAbandoned shows that requests count which a server too slow for the rate
// leaves no connection for.
func TestAbandoned(t *testing.T) {
	const size, rate = 64, 1000
	target := script(t, echoing(size, func(_ int, request []byte, c *net.TCPConn) bool {
		busy := time.NewTimer(20 * time.Millisecond)
		<-busy.C
		_, err := c.Write(request)
		return err == nil
	}))
	l := bench.Load{Kind: bench.Requests, Protocol: bench.Own, Connections: 1, Size: size, Rate: rate, Duration: 2 * short}
	m := mustRun(t, target, l, Options{})
	wantNoErrors(t, m)
	if due := rate * m.Elapsed.Seconds(); float64(m.Latency.Count) < due-2 || m.Answers > uint64(due)/2 {
		t.Errorf("%d latencies and %d answers of %v requests that were due", m.Latency.Count, m.Answers, due)
	}
}
