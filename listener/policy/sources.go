package policy

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Sources bounds the live connections of each source address
// (limits.max_connections_per_source). It serves all loops, and lives as long
// as the process. A source is one address, IPv6 too: a node's pods share a /64.
//
// Each source with a connection is an entry, and no others are.
type Sources struct {
	max     atomic.Int64 // 0 = unlimited
	tracked atomic.Int64 // sources with a connection
	most    int64
	seed    maphash.Seed // so that nobody can choose sources of one shard
	shards  [shards]shard
}

// shards is many more than there are loops: two loops seldom want the same
// one, and hold it for some tens of nanoseconds.
const shards = 64

// shard keeps its counts apart from the next one's cache line.
type shard struct {
	mu     sync.Mutex
	counts map[[16]byte]int64
	peak   int // most entries since counts was made
	_      [40]byte
}

// keepEmpty is how many entries an empty map may once have had and still be
// kept: maps do not shrink, and after a flood of sources its memory goes back.
const keepEmpty = 256

// NewSources makes a table for at most most sources at a time, which bounds
// its memory. A good value is what bounds all connections; at least 1.
func NewSources(most int) *Sources {
	return &Sources{most: int64(max(1, most)), seed: maphash.MakeSeed()}
}

// SetMax changes how many connections a source may have; 0 is no limit.
// Connections above it stay. Those taken while there was no limit are never
// counted.
func (s *Sources) SetMax(max int) { s.max.Store(int64(max)) }

// Tracked is how many sources have a connection that counts.
func (s *Sources) Tracked() int64 { return s.tracked.Load() }

// SourceRefusal tells why Take gave no place.
type SourceRefusal int8

// NotRefused: there is a place, or no limit. SourceFull: the source has as
// many connections as it may. SourcesFull: there are too many sources to
// count one more.
const (
	NotRefused SourceRefusal = iota
	SourceFull
	SourcesFull
)

// Take takes a place for a connection from source. All addresses that are not
// known (the zero Addr) are one source.
func (s *Sources) Take(source netip.Addr) (SourcePlace, SourceRefusal) {
	limit := s.max.Load()
	if limit <= 0 {
		return SourcePlace{}, NotRefused
	}
	key := source.As16()
	shard := s.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	n := shard.counts[key]
	if n >= limit {
		return SourcePlace{}, SourceFull
	}
	if n == 0 && !s.track() {
		return SourcePlace{}, SourcesFull
	}
	shard.add(key)
	return SourcePlace{s, key}, NotRefused
}

// Adopt is Take for a connection that lives already: it is counted where there is
// a limit, and never refused.
func (s *Sources) Adopt(source netip.Addr) SourcePlace {
	if s.max.Load() <= 0 {
		return SourcePlace{}
	}
	key := source.As16()
	shard := s.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.counts[key] == 0 {
		s.tracked.Add(1)
	}
	shard.add(key)
	return SourcePlace{s, key}
}

// add counts one more connection. The lock is held.
func (sh *shard) add(key [16]byte) {
	if sh.counts == nil {
		sh.counts = make(map[[16]byte]int64)
	}
	sh.counts[key]++
	sh.peak = max(sh.peak, len(sh.counts))
}

// track makes room for one more source, unless there are too many.
func (s *Sources) track() bool {
	for {
		n := s.tracked.Load()
		if n >= s.most {
			return false
		}
		if s.tracked.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *Sources) shard(key [16]byte) *shard {
	return &s.shards[maphash.Bytes(s.seed, key[:])%shards]
}

// SourcePlace is a connection's place under Sources, owned by the connection:
// it must not be copied while it is taken. The zero SourcePlace is none.
type SourcePlace struct {
	of  *Sources
	key [16]byte
}

// Release gives the place back; after that, and for the zero SourcePlace, it
// does nothing.
func (p *SourcePlace) Release() {
	if p.of == nil {
		return
	}
	s := p.of
	p.of = nil
	shard := s.shard(p.key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if n := shard.counts[p.key]; n > 1 {
		shard.counts[p.key] = n - 1
		return
	}
	delete(shard.counts, p.key)
	s.tracked.Add(-1)
	if len(shard.counts) == 0 && shard.peak > keepEmpty {
		shard.counts, shard.peak = nil, 0
	}
}
