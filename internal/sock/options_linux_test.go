package sock

import (
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		name     string
		in       time.Duration
		from, to time.Duration
		values   int
	}{
		{"off", 0, 0, 0, 1},
		{"too short to share out", 1500 * time.Millisecond, 1500 * time.Millisecond, 1500 * time.Millisecond, 1},
		{"thirty seconds", 30 * time.Second, 15 * time.Second, 30 * time.Second, 16},
		{"with a fraction", 3500 * time.Millisecond, 2500 * time.Millisecond, 3500 * time.Millisecond, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			seen := map[time.Duration]int{}
			for range 2000 {
				k := Keepalive{Idle: tc.in, Interval: tc.in, Probes: 3}.Spread()
				if k.Idle < tc.from || k.Idle > tc.to || k.Interval < tc.from || k.Interval > tc.to || k.Probes != 3 {
					t.Fatalf("%v becomes %+v, want %v to %v", tc.in, k, tc.from, tc.to)
				}
				seen[k.Idle]++
			}
			if len(seen) != tc.values {
				t.Errorf("%d values, want %d", len(seen), tc.values)
			}
		})
	}
}
