package outlier

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReportsFromManyThreads has endpoints fail on several threads at once,
// while others sweep and settle: each is ejected exactly once, and every
// crossing reaches Settle.
func TestReportsFromManyThreads(t *testing.T) {
	const endpoints, threads, rounds = 16, 4, 2000
	s := forTCP()
	s.BaseEjectionTime, s.MaxEjectionTime = time.Hour, time.Hour
	s.ConsecutiveEarlyClose = 7
	var told [endpoints]atomic.Int32
	d := New(s, Options{Changed: func(id int32, ejected bool, _ Reason) {
		if !ejected {
			t.Errorf("%d is back", id)
		}
		told[id].Add(1)
	}})
	monitors := make([]*Monitor, endpoints)
	for id := range monitors {
		monitors[id] = d.Add(int32(id))
	}
	now := virtual(0)
	var reporting, working sync.WaitGroup
	crossings := make(chan struct{}, 1)
	for range threads {
		reporting.Go(func() {
			for i := range rounds {
				m := monitors[i%endpoints]
				failed, early := m.Report(LocalConnectFailed), m.Report(EarlyClose)
				if failed || early {
					select {
					case crossings <- struct{}{}:
					default: // one that waits serves all
					}
				}
			}
		})
	}
	working.Go(func() {
		for range crossings {
			d.Settle(now)
		}
		d.Settle(now)
	})
	done := make(chan struct{})
	working.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				d.Sweep(now)
				d.Add(endpoints).Report(FirstByteTimeout)
				d.Remove(endpoints)
				_, _, _ = d.Counts(), d.Average(LocalOrigin), d.Next(now)
			}
		}
	})
	reporting.Wait()
	close(crossings)
	close(done)
	working.Wait()
	for id := range told {
		if got := told[id].Load(); got != 1 {
			t.Errorf("endpoint %d was ejected %d times, want 1", id, got)
		}
	}
	if c := d.Counts(); c.Active != endpoints || c.EnforcedTotal != endpoints {
		t.Errorf("counts %+v", c)
	}
}

// TestEveryRunIsFoundOnce has one endpoint reach thresholds that are not
// enforced: the detections are as many as there were crossings.
func TestEveryRunIsFoundOnce(t *testing.T) {
	const threads, rounds = 4, 3000
	s := forTCP()
	s.EnforcingConsecutiveLocalOriginFailure = 0
	d := New(s, Options{})
	monitors := make([]*Monitor, 64)
	for id := range monitors {
		monitors[id] = d.Add(int32(id))
	}
	now := virtual(0)
	var crossed atomic.Uint64
	var reporting sync.WaitGroup
	for thread := range threads {
		reporting.Go(func() {
			for i := range rounds {
				m := monitors[(i*threads+thread)%len(monitors)] // each endpoint on one thread
				if m.Report(LocalConnectFailed) {
					crossed.Add(1)
					d.Settle(now)
				}
			}
		})
	}
	reporting.Wait()
	d.Settle(now)
	c := d.Counts()
	if got := c.Detected[ConsecutiveLocalOriginFailure]; got == 0 || got != crossed.Load() {
		t.Errorf("%d detections of %d crossings", got, crossed.Load())
	}
}
