package healthcheck

import (
	"slices"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

type intervalCase struct {
	name    string
	healthy bool
	step    transition
	traffic bool
	change  func(*config.HealthCheck)
	want    time.Duration
}

func TestInterval(t *testing.T) {
	none := func(*config.HealthCheck) {}
	unhealthy := func(c *config.HealthCheck) { c.UnhealthyInterval = 2 * time.Second }
	edges := func(c *config.HealthCheck) {
		unhealthy(c)
		c.UnhealthyEdgeInterval, c.HealthyEdgeInterval = 3*time.Second, 4*time.Second
	}
	for _, tc := range []intervalCase{
		{"healthy", true, unchanged, true, edges, 5 * time.Second},
		{"just healthy", true, changed, true, edges, 5 * time.Second},
		{"unhealthy, no special interval", false, unchanged, true, none, 5 * time.Second},
		{"unhealthy", false, unchanged, true, edges, 2 * time.Second},
		{"just unhealthy", false, changed, true, edges, 2 * time.Second},
		{"on the way to unhealthy", true, pending, true, edges, 3 * time.Second},
		{"on the way to unhealthy, no edge", true, pending, true, unhealthy, 2 * time.Second},
		{"on the way to healthy", false, pending, true, edges, 4 * time.Second},
		{"on the way to healthy, no edge", false, pending, true, unhealthy, 5 * time.Second},
		{"no traffic", true, unchanged, false, edges, time.Minute},
		{"no traffic, unhealthy", false, unchanged, false, edges, time.Minute},
	} {
		c := config.DefaultHealthCheck()
		tc.change(&c)
		passed := tc.healthy
		if tc.step == pending { // the last result spoke against the state
			passed = !tc.healthy
		}
		if got := interval(&c, passed, tc.step, tc.traffic); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// However many endpoints there are, no tenth of the cycle has many more checks
// than another.
func TestPhasesAreEven(t *testing.T) {
	for _, n := range []int{10, 37, 5000} {
		tenths := make([]int, 10)
		for i := range n {
			p := phase(uint32(i + 1000))
			if p <= 0 || p > 1 {
				t.Fatalf("phase %v", p)
			}
			tenths[min(9, int(p*10))]++
		}
		if least, most := slices.Min(tenths), slices.Max(tenths); most-least > 5 {
			t.Errorf("%d endpoints: from %d to %d checks in a tenth of the cycle", n, least, most)
		}
	}
}

func TestFirstChecksAreSoon(t *testing.T) {
	c := config.DefaultHealthCheck()
	for _, n := range []int{1, 3, 5000, 100_000} {
		if last := firstDelay(&c, n-1, n); last > firstWithin {
			t.Errorf("the last of %d endpoints is first checked after %v", n, last)
		}
	}
	if got := firstDelay(&c, 2, 3); got != 2*time.Millisecond {
		t.Errorf("the third of three endpoints waits %v", got)
	}
	c.InitialJitter = time.Second
	if a := firstDelay(&c, 0, 1); a < 0 || a >= time.Second {
		t.Errorf("initial jitter gives %v", a)
	}
}

func TestGrain(t *testing.T) {
	ms := int64(time.Millisecond)
	for _, tc := range [][3]int64{ // moment, cycle, want
		{1, 5000 * ms, 25 * ms}, {25 * ms, 5000 * ms, 25 * ms}, {25*ms + 1, 60_000 * ms, 50 * ms},
		{1, 400 * ms, 2 * ms}, {1, 100 * ms, 1},
	} {
		if got := onGrain(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%d in a cycle of %d ms: %d, want %d", tc[0], tc[1]/ms, got, tc[2])
		}
	}
	if late(0, 500*ms, 5000*ms) || !late(0, 500*ms+1, 5000*ms) {
		t.Error("late is more than a tenth of the cycle")
	}
}
