package load

import (
	"context"
	"errors"
	"math"
	"os"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

type kindCase struct {
	name string
	load bench.Load
	want func(m *bench.Measure) bool
}

func kinds() []kindCase {
	answers := func(m *bench.Measure) bool {
		return m.Answers > 0 && m.Latency.Count >= m.Answers && m.Latency.P50 > 0 && m.Latency.Max >= m.Latency.P999 &&
			m.BytesUp == m.Answers*uint64(m.Load.Size) && m.BytesDown == m.BytesUp
	}
	news := func(m *bench.Measure) bool { return answers(m) && m.Opened == m.Answers }
	held := func(m *bench.Measure) bool { return m.Opened == 150 && m.Answers == 0 && m.Latency.Count == 0 }
	up := func(m *bench.Measure) bool { return m.BytesUp > 0 && m.BytesDown == 0 }
	down := func(m *bench.Measure) bool { return m.BytesDown > 0 && m.BytesUp == 0 }
	both := func(m *bench.Measure) bool { return m.BytesDown > 0 && m.BytesUp > 0 }
	paced := func(m *bench.Measure) bool {
		return m.Answers > 0 && m.Latency.Count > 0 && m.Lag.Count > 0 && m.Lag.Count <= m.Latency.Count
	}
	pacedNews := func(m *bench.Measure) bool { return paced(m) && m.Opened == m.Answers }
	return []kindCase{
		{"one connection", bench.Load{Kind: bench.Requests, Connections: 1, Size: 100}, answers},
		{"many connections", bench.Load{Kind: bench.Requests, Connections: 300, Size: 64}, answers},
		{"loops", bench.Load{Kind: bench.Requests, Connections: 5, Size: 64, Loops: 2}, answers},
		{"more loops than connections", bench.Load{Kind: bench.Requests, Connections: 1, Size: 64, Loops: 2}, answers},
		{"tiny requests", bench.Load{Kind: bench.Requests, Connections: 3, Size: 1}, answers},
		{"requests with a number at the beginning only", bench.Load{Kind: bench.Requests, Connections: 3, Size: 9}, answers},
		{"requests as large as a buffer", bench.Load{Kind: bench.Requests, Connections: 3, Size: 64 << 10}, answers},
		{"requests larger than buffers", bench.Load{Kind: bench.Requests, Connections: 2, Size: 3<<20 + 1}, answers},
		{"requests at a rate", bench.Load{Kind: bench.Requests, Connections: 8, Size: 64, Rate: 2000}, paced},
		{"requests at a rate over loops", bench.Load{Kind: bench.Requests, Connections: 8, Size: 64, Rate: 2000, Loops: 2}, paced},
		{"new connections", bench.Load{Kind: bench.Connections, Connections: 8, Size: 64, Ending: bench.FIN}, news},
		{"new connections that are reset", bench.Load{Kind: bench.Connections, Connections: 8, Size: 64, Ending: bench.RST}, news},
		{"new connections at a rate", bench.Load{Kind: bench.Connections, Connections: 8, Size: 64, Ending: bench.FIN, Rate: 1000}, pacedNews},
		{"new connections with large requests", bench.Load{Kind: bench.Connections, Connections: 2, Size: 4 << 20, Ending: bench.FIN}, news},
		{"up", bench.Load{Kind: bench.Streams, Connections: 2, Size: 256 << 10, Direction: bench.Up}, up},
		{"down", bench.Load{Kind: bench.Streams, Connections: 2, Size: 256 << 10, Direction: bench.Down}, down},
		{"both", bench.Load{Kind: bench.Streams, Connections: 2, Size: 256 << 10, Direction: bench.Both, Loops: 2}, both},
		{"idle", bench.Load{Kind: bench.Idle, Connections: 150, Size: 64}, held},
		{"beside", bench.Load{Kind: bench.Connections, Connections: 4, Size: 64, Ending: bench.FIN,
			Beside: bench.Beside{Idle: 140, Streams: 3, SlowReaders: 3}}, news},
		{"beside streams", bench.Load{Kind: bench.Streams, Connections: 1, Size: 64 << 10, Direction: bench.Down,
			Beside: bench.Beside{Idle: 3, Streams: 2, SlowReaders: 2}}, down},
	}
}

func TestKinds(t *testing.T) {
	for _, tc := range kinds() {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t)
			tc.load.Protocol, tc.load.Warmup, tc.load.Duration = bench.Own, short/4, short
			m := mustRun(t, s.Addr(), tc.load, Options{Watch: []int{os.Getpid()}})
			// On a machine with much else to do nothing may happen in so short a time.
			for !tc.want(m) && tc.load.Duration < 64*short {
				wantNoErrors(t, m)
				tc.load.Duration *= 8
				m = mustRun(t, s.Addr(), tc.load, Options{Watch: []int{os.Getpid()}})
			}
			wantNoErrors(t, m)
			if !tc.want(m) || m.Elapsed < tc.load.Duration {
				m.Latency.Curve, m.Lag.Curve = nil, nil
				t.Errorf("measured %+v", m)
			}
			if m.Generator.Processes != 1 || m.Proxy.Processes != 1 || m.Generator.Memory.RSS == 0 || m.Generator.Before.RSS == 0 {
				t.Errorf("usage: %+v and %+v", m.Generator, m.Proxy)
			}
			if seen := s.Stats(); seen.Strangers != 0 {
				t.Errorf("%d connections did not begin with a hello", seen.Strangers)
			}
			eventually(t, "the backend to see all connections end", func() bool { return s.Stats().Open == 0 })
		})
	}
}

func TestMost(t *testing.T) {
	for _, tc := range []struct {
		name string
		load bench.Load
	}{
		{"requests", bench.Load{Kind: bench.Requests, Connections: 10, Size: 64, Loops: 2}},
		{"requests at a rate", bench.Load{Kind: bench.Requests, Connections: 10, Size: 64, Rate: 20000}},
		{"connections", bench.Load{Kind: bench.Connections, Connections: 10, Size: 64, Ending: bench.FIN}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.load.Protocol, tc.load.Most, tc.load.Warmup, tc.load.Duration = bench.Own, 101, time.Hour/2, time.Hour/2
			m := mustRun(t, serve(t).Addr(), tc.load, Options{})
			wantNoErrors(t, m)
			if m.Answers != 101 {
				t.Errorf("%d answers, want 101", m.Answers)
			}
		})
	}
}

// TestOpenLoop shows that all due requests are counted, also those that no
// connection was free for.
func TestOpenLoop(t *testing.T) {
	l := bench.Load{Kind: bench.Requests, Protocol: bench.Own, Connections: 2, Size: 64, Rate: 5000, Duration: 2 * short}
	m := mustRun(t, serve(t).Addr(), l, Options{})
	wantNoErrors(t, m)
	want := l.Rate * m.Elapsed.Seconds()
	if got := float64(m.Latency.Count); math.Abs(got-want) > 2 {
		t.Errorf("%v requests were due in %v, want %v", got, m.Elapsed, want)
	}
}

func TestCancelled(t *testing.T) {
	s := serve(t)
	for _, kind := range kinds() {
		t.Run(kind.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			kind.load.Protocol, kind.load.Duration = bench.Own, time.Hour
			_, err := Run(ctx, s.Addr(), kind.load, Options{Progress: func(float64) { cancel() }})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	var seen []float64
	l := bench.Load{Kind: bench.Idle, Protocol: bench.Own, Connections: 1, Size: 64, Warmup: short, Duration: 2 * short}
	mustRun(t, serve(t).Addr(), l, Options{Progress: func(done float64) { seen = append(seen, done) }})
	last := 0.0
	for _, done := range seen {
		if done < last {
			t.Fatalf("progress goes back: %v", seen)
		}
		last = done
	}
	if last != 1 {
		t.Errorf("progress ends with %v, want 1: %v", last, seen)
	}
}

func TestRunRefuses(t *testing.T) {
	ctx := context.Background()
	s := serve(t)
	if _, err := Run(ctx, s.Addr(), bench.Load{}, Options{}); err == nil {
		t.Error("an empty load has been made")
	}
	l := bench.Load{Kind: bench.Idle, Protocol: bench.Own, Connections: 1, Size: 64, Duration: short}
	if _, err := Run(ctx, s.Addr(), l, Options{Watch: []int{math.MaxInt32}}); err == nil {
		t.Error("a process that is not there has been watched")
	}
}
