package eventloop

import "time"

// Timer calls its handler's OnTimer once. It is part of the handler, which
// starts and stops it on its own loop; the zero Timer is stopped.
//
// Timers are cheap because they are rarely moved: a handler whose deadline is
// put off by every byte lets the timer run out and starts it again for the
// rest.
type Timer struct {
	at    int64 // nanoseconds on the loop's clock
	place int32 // in the heap, from 1; 0 = stopped
}

// Active says whether the timer is running.
func (t *Timer) Active() bool { return t.place != 0 }

type timerEntry struct {
	at      int64
	timer   *Timer
	handler Handler
}

// timerHeap is a heap with four children for each parent: half as deep as a
// binary one, and siblings share cache lines. Place p (from 1) is entries[p-1].
type timerHeap struct {
	entries []timerEntry
}

func (h *timerHeap) start(t *Timer, at int64, handler Handler) {
	if t.Active() {
		h.stop(t)
	}
	t.at = at
	h.entries = append(h.entries, timerEntry{})
	h.up(len(h.entries)-1, timerEntry{at, t, handler})
}

func (h *timerHeap) stop(t *Timer) {
	if !t.Active() {
		return
	}
	hole, last := int(t.place)-1, len(h.entries)-1
	moved := h.entries[last]
	h.entries[last] = timerEntry{}
	h.entries = h.entries[:last]
	t.place = 0
	if hole == last {
		return
	}
	if hole > 0 && moved.at < h.entries[(hole-1)/4].at {
		h.up(hole, moved)
	} else {
		h.down(hole, moved)
	}
}

// expired takes out the first timer if it is due.
func (h *timerHeap) expired(now int64) (Handler, bool) {
	if len(h.entries) == 0 || h.entries[0].at > now {
		return nil, false
	}
	first := h.entries[0]
	h.stop(first.timer)
	return first.handler, true
}

// wait is how many milliseconds to wait for the first timer, rounded up, and -1
// when there is none.
func (h *timerHeap) wait(now int64) int {
	if len(h.entries) == 0 {
		return -1
	}
	left := h.entries[0].at - now
	if left <= 0 {
		return 0
	}
	const longest = int64(time.Hour / time.Millisecond) // fits epoll_wait's int
	return int(min((left+int64(time.Millisecond)-1)/int64(time.Millisecond), longest))
}

func (h *timerHeap) up(i int, entry timerEntry) {
	for i > 0 {
		parent := (i - 1) / 4
		if h.entries[parent].at <= entry.at {
			break
		}
		h.put(i, h.entries[parent])
		i = parent
	}
	h.put(i, entry)
}

func (h *timerHeap) down(i int, entry timerEntry) {
	for {
		child := 4*i + 1
		if child >= len(h.entries) {
			break
		}
		for sibling := child + 1; sibling < min(4*i+5, len(h.entries)); sibling++ {
			if h.entries[sibling].at < h.entries[child].at {
				child = sibling
			}
		}
		if entry.at <= h.entries[child].at {
			break
		}
		h.put(i, h.entries[child])
		i = child
	}
	h.put(i, entry)
}

func (h *timerHeap) put(i int, entry timerEntry) {
	h.entries[i] = entry
	entry.timer.place = int32(i + 1)
}
