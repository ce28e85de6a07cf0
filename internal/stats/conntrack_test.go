package stats

import (
	"math"
	"testing"
)

func TestConntrack(t *testing.T) {
	table := conntrackTable{root: "testdata/proc"}
	if got := table.entries(); got != 31 {
		t.Errorf("entries = %v, want 31", got)
	}
	if got := table.limit(); got != 262144 {
		t.Errorf("limit = %v, want 262144", got)
	}
	if got := table.insertFailed(); got != 26 {
		t.Errorf("insert failures = %v, want 10 + 16", got)
	}
}

func TestConntrackMissingOrOdd(t *testing.T) {
	if got := (conntrackTable{root: "testdata/none"}).entries(); !math.IsNaN(got) {
		t.Errorf("entries without conntrack = %v, want NaN", got)
	}
	for _, odd := range []string{"", "entries drop\n1 2\n", "insert_failed\nxyz\n", "entries insert_failed\n1\n"} {
		if got := sumHexColumn([]byte(odd), "insert_failed"); !math.IsNaN(got) {
			t.Errorf("%q = %v, want NaN", odd, got)
		}
	}
}
