package testnet

import "time"

// TB is what testnet asks of a test. *testing.T and *testing.B are one; so is
// the demo's own stage.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any) // does not return
	Failed() bool
	Cleanup(func())
}

// patience bounds every wait that a caller gives no deadline for. It is long
// because only a failing test ever waits so long.
const patience = time.Minute

// pollInterval is the pause between two looks at a condition.
const pollInterval = 5 * time.Millisecond

// Eventually calls check until it returns nil. After deadline it fails the
// test with the last error.
func Eventually(tb TB, deadline time.Duration, check func() error) {
	tb.Helper()
	if err := poll(deadline, check); err != nil {
		tb.Fatalf("not within %v: %v", deadline, err)
	}
}

func poll(deadline time.Duration, check func() error) error {
	end := time.Now().Add(deadline)
	for {
		err := check()
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(pollInterval)
	}
}
