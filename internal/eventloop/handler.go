package eventloop

// Handler owns one or more watched descriptors, or a timer. All calls come from
// the loop's thread.
type Handler interface {
	// OnEvents reports sock.Readable and other bits for the descriptor that
	// was watched under tag.
	OnEvents(tag, events uint32)

	// OnTimer reports that the handler's timer has run out. It is stopped
	// then, and may be started again.
	OnTimer()

	// OnPanic tells the handler that a call of it panicked. It gives up what
	// it owns: its descriptors are closed and no more calls come.
	OnPanic(value any, stack []byte)
}

// Watch is a watched descriptor, from Loop.Watch to Loop.Forget. The zero Watch
// is none.
type Watch uint64

// A Watch holds the number of its slot and, above it, the generation of the
// slot's use. Events that were already fetched for a descriptor which a handler
// closed a moment ago carry an old generation and are dropped.
func newWatch(index, generation uint32) Watch {
	return Watch(uint64(generation)<<32 | uint64(index))
}

func (w Watch) index() uint32      { return uint32(w) }
func (w Watch) generation() uint32 { return uint32(w >> 32) }

// slot is one watched descriptor. Generations start at 1, so that no Watch is 0.
type slot struct {
	handler    Handler
	tag        uint32
	generation uint32
}

// slots is a table of watched descriptors that reuses its places.
type slots struct {
	table []slot
	free  []uint32
}

func (s *slots) take(h Handler, tag uint32) Watch {
	if n := len(s.free); n > 0 {
		index := s.free[n-1]
		s.free = s.free[:n-1]
		s.table[index].handler, s.table[index].tag = h, tag
		return newWatch(index, s.table[index].generation)
	}
	s.table = append(s.table, slot{handler: h, tag: tag, generation: 1})
	return newWatch(uint32(len(s.table)-1), 1)
}

func (s *slots) release(w Watch) {
	if slot := s.find(w); slot != nil {
		slot.handler = nil
		slot.generation++
		s.free = append(s.free, w.index())
	}
}

// find gives the live slot of w, or nil.
func (s *slots) find(w Watch) *slot {
	if int(w.index()) >= len(s.table) {
		return nil
	}
	slot := &s.table[w.index()]
	if slot.handler == nil || slot.generation != w.generation() {
		return nil
	}
	return slot
}
