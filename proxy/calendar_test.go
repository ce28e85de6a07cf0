package proxy

import (
	"testing"
	"time"
)

// Ages are the same on both sides, whenever the loops were made, and nobody comes
// from the future.
func TestCalendar(t *testing.T) {
	day := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	old, young := calendar{day, int64(1000 * time.Hour)}, calendar{day, int64(time.Second)}
	for _, age := range []time.Duration{0, time.Millisecond, 10 * time.Hour} {
		if got := young.moment(old.date(old.loop - int64(age))); got != young.loop-int64(age) {
			t.Errorf("an age of %v arrives as %v", age, time.Duration(young.loop-got))
		}
	}
	if got := young.moment(day.Add(time.Hour)); got != young.loop {
		t.Errorf("the future arrives as %v from now", time.Duration(got-young.loop))
	}
}
