package sock

import (
	"math"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEpollKeepsData(t *testing.T) {
	for _, data := range []uint64{0, 1, math.MaxUint32, 1 << 32, 1<<63 | 1<<31, 0x0123456789abcdef, math.MaxUint64} {
		e, err := NewEpoll(4)
		if err != nil {
			t.Fatal(err)
		}
		waker, err := NewWaker()
		if err != nil {
			t.Fatal(err)
		}
		if errno := e.Add(waker, Readable, ^data); errno != 0 {
			t.Fatal(errno)
		}
		if errno := e.Change(waker, Readable, data); errno != 0 {
			t.Fatal(errno)
		}
		if n := e.Poll(0); n != 0 {
			t.Errorf("%d events before Wake", n)
		}
		Wake(waker)
		for name, wait := range map[string]func(int) int{"Poll": e.Poll, "Wait": e.Wait} {
			if n := wait(1000); n != 1 {
				t.Fatalf("%s reports %d events, want 1", name, n)
			}
			if got, events := e.Event(0); got != data || events != Readable {
				t.Errorf("%s: data %#x and events %#x, want %#x and %#x", name, got, events, data, uint32(Readable))
			}
		}
		Woken(waker)
		if n := e.Poll(0); n != 0 {
			t.Errorf("%d events after Woken", n)
		}
		Close(waker)
		e.Close()
	}
}

// Several events in one batch keep their data apart: the layout of the
// kernel's struct is right also beyond the first.
func TestEpollBatch(t *testing.T) {
	e, err := NewEpoll(8)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	want := map[uint64]bool{}
	for i := range uint64(8) {
		waker, err := NewWaker()
		if err != nil {
			t.Fatal(err)
		}
		defer Close(waker)
		Wake(waker)
		data := i<<60 | i<<32 | i
		want[data] = true
		if errno := e.Add(waker, Readable|EdgeTriggered, data); errno != 0 {
			t.Fatal(errno)
		}
	}
	n := e.Wait(1000)
	for i := range n {
		data, _ := e.Event(i)
		delete(want, data)
	}
	if n != 8 || len(want) != 0 {
		t.Errorf("%d events; without one: %v", n, want)
	}
	if n := e.Poll(0); n != 0 {
		t.Errorf("edge-triggered descriptors are reported again: %d", n)
	}
}

func TestEpollEventsOfSockets(t *testing.T) {
	e, err := NewEpoll(4)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	a, b := pair(t)
	defer Close(b)
	if errno := e.Add(b, Readable|Writable|PeerShut|EdgeTriggered, 7); errno != 0 {
		t.Fatal(errno)
	}
	expect := func(what string, want uint32) {
		t.Helper()
		eventually(t, what, func() bool {
			if e.Poll(10) == 0 {
				return false
			}
			_, events := e.Event(0)
			return events&want == want
		})
	}
	expect("writable", Writable)
	mustWrite(t, a, "x")
	expect("readable", Readable)
	CloseWrite(a)
	expect("FIN", Readable|PeerShut)
	Reset(a)
	expect("RST", Failed|Hangup|PeerShut)
	if errno := e.Add(b, Readable, 7); errno != unix.EEXIST {
		t.Errorf("Add twice: %v, want EEXIST", errno)
	}
	if errno := e.Change(-1, Readable, 7); errno != unix.EBADF {
		t.Errorf("Change of no descriptor: %v, want EBADF", errno)
	}
}

func TestReserve(t *testing.T) {
	fd, errno := Reserve()
	if errno != 0 {
		t.Fatal(errno)
	}
	defer Close(fd)
	if name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); name != "/dev/null" {
		t.Errorf("reserved descriptor is %q, %v", name, err)
	}
}
