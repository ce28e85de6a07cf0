package bench

import (
	"math"
	"testing"
	"time"
)

// full has every number, each another.
func full() Measure {
	return Measure{
		Load: Load{Kind: Requests}, Elapsed: 2 * time.Second,
		Answers: 1000, Opened: 50, BytesUp: 3e9, BytesDown: 1e9,
		Latency: Latency{Count: 1000, P50: 1 * time.Millisecond, P90: 2 * time.Millisecond,
			P99: 3 * time.Millisecond, P999: 4 * time.Millisecond, Max: 5 * time.Millisecond},
		Proxy: Usage{User: 300 * time.Millisecond, System: 700 * time.Millisecond,
			Voluntary: 1500, Involuntary: 500, Processes: 2,
			Memory: Memory{RSS: 11000, PSS: 7000}, Before: Memory{RSS: 1000, PSS: 2000}},
	}
}

func TestFigure(t *testing.T) {
	nan := math.NaN()
	type figureCase struct {
		figure  Figure
		full    float64
		nothing float64 // of a measure without proxy, answers and time
	}
	for _, c := range []figureCase{
		{AnswersPerSecond, 500, nan}, {OpenedPerSecond, 25, nan}, {BitsPerSecond, 16e9, nan},
		{CPUPerAnswer, 1e-3, nan}, {CPUPerGigabyte, 0.25, nan}, {CPUPerOpened, 0.02, nan},
		{RSSPerOpened, 200, nan}, {PSSPerOpened, 100, nan}, {SwitchesPerUnit, 2, nan},
		{RSS, 11000, nan}, {PSS, 7000, nan},
		{P50, 1e-3, nan}, {P90, 2e-3, nan}, {P99, 3e-3, nan}, {P999, 4e-3, nan}, {Max, 5e-3, nan},
		{"unheard of", nan, nan},
	} {
		m, nothing := full(), Measure{}
		if got := m.Figure(c.figure); !same(got, c.full) {
			t.Errorf("%s: %v, want %v", c.figure, got, c.full)
		}
		if got := nothing.Figure(c.figure); !same(got, c.nothing) {
			t.Errorf("%s of nothing: %v, want %v", c.figure, got, c.nothing)
		}
	}
}

func TestSwitchesPerUnitOfEachKind(t *testing.T) {
	for kind, want := range map[Kind]float64{Requests: 2, Streams: 500, Connections: 40, Idle: 40} {
		m := full()
		m.Load.Kind = kind
		if got := m.Figure(SwitchesPerUnit); !same(got, want) {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
}

func TestMemoryThatShrank(t *testing.T) {
	m := full()
	m.Proxy.Memory.RSS = 500
	if got := m.Figure(RSSPerOpened); !same(got, -10) {
		t.Errorf("%v, want -10 bytes", got)
	}
}

func TestMoreIsBetter(t *testing.T) {
	for _, f := range []Figure{AnswersPerSecond, OpenedPerSecond, BitsPerSecond} {
		if !f.MoreIsBetter() {
			t.Errorf("%s: less is better", f)
		}
	}
	for _, f := range []Figure{CPUPerAnswer, RSSPerOpened, P50, Max, SwitchesPerUnit, RSS, LongestGCPause} {
		if f.MoreIsBetter() {
			t.Errorf("%s: more is better", f)
		}
	}
}
