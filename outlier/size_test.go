package outlier

import (
	"reflect"
	"testing"
)

// An endpoint may take 2 KiB in all; its outlier detection is a small part.
func TestMonitorIsSmall(t *testing.T) {
	if size := reflect.TypeFor[Monitor]().Size(); size > 288 {
		t.Errorf("a Monitor has %d bytes", size)
	}
}

// What Report holds on to must not grow, or slow down what is to be fast.
func TestReportAllocatesNothing(t *testing.T) {
	r := newRig(t, forTCP(), 1, nil)
	m := r.monitors[0]
	allocations := testing.AllocsPerRun(1000, func() {
		m.Report(LocalConnectFailed) // pushes once
		m.Report(LocalConnectSuccess)
		m.Report(FirstByte)
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}
