package stats

import "time"

// Counter, Gauge and Histogram are places in every Shard. They are handed out
// by a Registry when a configuration is built, so that counting on a loop is
// one addition at a known index. A Histogram is the first of a run of places:
// one for each bucket, then the sum.
type (
	Counter   uint32
	Gauge     uint32
	Histogram uint32
)

// cacheLine is in cells of 8 bytes. Each shard's cells have a line of padding
// at both ends, so that two loops never write to the same line wherever the
// allocator puts their shards.
const cacheLine = 64 / 8

// Shard holds one loop's values. It belongs to that loop's thread: it is
// written and read only there, without atomics or locks. A collector asks each
// loop to add its values to a sum (AddTo).
type Shard struct {
	_     [64]byte
	cells []uint64
	_     [64]byte
}

// Inc adds one.
func (s *Shard) Inc(c Counter) { s.cells[c]++ }

// Add adds n.
func (s *Shard) Add(c Counter, n uint64) { s.cells[c] += n }

// Move adds delta to a gauge. Loops may hold negative parts of a gauge whose
// sum over all loops is not negative.
func (s *Shard) Move(g Gauge, delta int64) { s.cells[g] += uint64(delta) }

// Observe counts one duration. Microseconds are kept, so that Envoy's lowest
// bucket, half a millisecond, means something. Negative durations count as 0.
func (s *Shard) Observe(h Histogram, d time.Duration) {
	micros := uint64(max(d, 0) / time.Microsecond)
	bucket := 0
	for bucket < len(boundsMicros) && micros > boundsMicros[bucket] {
		bucket++
	}
	s.cells[int(h)+bucket]++
	s.cells[int(h)+histogramSum] += micros
}

// Grow makes room for all places that a registry has handed out (Registry.Cells),
// before a configuration is taken up that was built later. For a shard whose loop
// runs there are Room and Take.
func (s *Shard) Grow(cells int) { s.Take(s.Room(cells)) }

// Room is memory for so many places; nil where the shard has them already. Any
// thread, but not while the shard takes another room. For a large mesh it is
// megabytes, which would hold a loop up: the kernel gives them page by page, and
// the garbage collector has who allocates work for it.
func (s *Shard) Room(cells int) []uint64 {
	if cells <= len(s.cells) {
		return nil
	}
	padded := make([]uint64, cells+2*cacheLine)
	clear(padded) // touches each page
	return padded[cacheLine : cacheLine+cells : cacheLine+cells]
}

// Take moves the shard's values into a room that was made for it; nil changes
// nothing. It is for the loop's thread.
func (s *Shard) Take(room []uint64) {
	if room == nil {
		return
	}
	copy(room, s.cells)
	s.cells = room
}

// AddTo adds the shard's values to sum. Places that sum has no room for were
// handed out after the caller made it, and are left out.
func (s *Shard) AddTo(sum []uint64) {
	for i := range min(len(sum), len(s.cells)) {
		sum[i] += s.cells[i]
	}
}
