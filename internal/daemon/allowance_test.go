package daemon

import (
	"testing"
	"time"
)

func TestAllowance(t *testing.T) {
	var a allowance
	now := time.Unix(1, 0)
	written := 0
	for range 5000 {
		if _, ok := a.take(now); ok {
			written++
		}
	}
	if written != eventBurst {
		t.Errorf("%d lines at once, want %d", written, eventBurst)
	}
	if suppressed, ok := a.take(now.Add(eventEvery)); !ok || suppressed != 5000-eventBurst {
		t.Errorf("%v, %d left out, want %d", ok, suppressed, 5000-eventBurst)
	}
	if _, ok := a.take(now.Add(eventEvery)); ok {
		t.Error("two lines for one token")
	}
	if suppressed, ok := a.take(now.Add(time.Hour)); !ok || suppressed != 1 {
		t.Errorf("%v, %d left out after an hour, want 1", ok, suppressed)
	}
}
