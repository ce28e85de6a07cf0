package eventloop

import (
	"testing"

	"github.com/sluiceproxy/sluice/internal/sock"
)

func TestWatchParts(t *testing.T) {
	w := newWatch(0xfffffffe, 0x80000001)
	if w.index() != 0xfffffffe || w.generation() != 0x80000001 {
		t.Errorf("index %#x, generation %#x", w.index(), w.generation())
	}
}

func TestSlots(t *testing.T) {
	var s slots
	if s.find(0) != nil {
		t.Error("the zero Watch is found in an empty table")
	}
	s.release(0)
	h := &fake{}
	first := s.take(h, 1)
	if first == 0 {
		t.Fatal("a Watch is 0")
	}
	second := s.take(h, 2)
	s.release(first)
	s.release(first) // again: does nothing
	if s.find(first) != nil {
		t.Error("a released watch is found")
	}
	third := s.take(h, 3)
	if third.index() != first.index() || third == first {
		t.Errorf("place %d with watch %#x is not reused well by %#x", first.index(), first, third)
	}
	if fourth := s.take(h, 4); fourth.index() == third.index() {
		t.Error("a place that was released twice has two users")
	}
	s.release(first) // old: must not end the third
	for w, tag := range map[Watch]uint32{second: 2, third: 3} {
		if slot := s.find(w); slot == nil || slot.tag != tag {
			t.Errorf("watch %#x has slot %+v, want tag %d", w, slot, tag)
		}
	}
	if s.find(newWatch(1000, 1)) != nil {
		t.Error("a watch beyond the table is found")
	}
}

// A handler closes another descriptor whose event is in the same batch. The
// number goes to a new descriptor, the place to a new watch: neither may get
// the old event.
func TestStaleEvents(t *testing.T) {
	l := still(t, Options{})
	fds := [2]int{signal(t), signal(t)}
	var watches [2]Watch
	var served, stale int
	fresh := &fake{events: func(_, _ uint32) { stale++ }}
	h := &fake{events: func(tag, _ uint32) {
		served++
		other := 1 - tag
		l.Forget(watches[other])
		sock.Close(fds[other])
		fd, err := sock.NewWaker()
		if err != nil || fd != fds[other] {
			t.Errorf("new descriptor %d, %v; want %d again", fd, err, fds[other])
		}
		w := watch(t, l, fd, fresh, 7)
		if w.index() != watches[other].index() {
			t.Errorf("place %d was not reused", watches[other].index())
		}
	}}
	for i, fd := range fds {
		watches[i] = watch(t, l, fd, h, uint32(i))
		sock.Wake(fd)
	}
	n := l.epoll.Wait(1000)
	if n != 2 {
		t.Fatalf("%d events in the batch, want 2", n)
	}
	l.serve(n)
	if served != 1 || stale != 0 {
		t.Errorf("%d events served, %d of them stale; want 1 and 0", served, stale)
	}
	if n := l.epoll.Poll(0); n != 0 {
		t.Errorf("%d events left", n)
	}
}

func TestForgetInOwnEvent(t *testing.T) {
	l := still(t, Options{})
	fd := signal(t)
	calls := 0
	var w Watch
	w = watch(t, l, fd, &fake{events: func(_, _ uint32) {
		calls++
		l.Again(w, sock.Readable) // void: the watch ends before the next turn
		l.Forget(w)
	}}, 0)
	sock.Wake(fd)
	l.serve(l.epoll.Wait(1000))
	sock.Wake(fd)
	l.runAgain()
	l.serve(l.epoll.Poll(0))
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func TestWatchFails(t *testing.T) {
	l := still(t, Options{})
	w, errno := l.Watch(-1, sock.Readable, &fake{}, 0)
	if w != 0 || errno == 0 {
		t.Errorf("Watch of no descriptor: %#x, %v", w, errno)
	}
	if len(l.slots.free) != 1 {
		t.Error("a failed Watch keeps its place")
	}
}

func TestChange(t *testing.T) {
	l := still(t, Options{})
	fd := signal(t)
	var got uint32
	w := watch(t, l, fd, &fake{events: func(_, events uint32) { got = events }}, 0)
	if errno := l.Change(w, fd, sock.Writable); errno != 0 {
		t.Fatal(errno)
	}
	l.serve(l.epoll.Wait(1000))
	if got != sock.Writable {
		t.Errorf("events %#x, want %#x", got, uint32(sock.Writable))
	}
}
