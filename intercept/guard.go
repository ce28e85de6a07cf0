package intercept

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

// Guard notices loops: connections that the daemon makes and captures again.
// Left alone, each one makes the next, until no descriptor or port is left
// (istio/istio#14242).
//
// Two signs give a loop away. The original destination is an address of this
// host with a capture listener's own port; or the captured connection is one
// that the daemon itself is dialling, already captured by the same listener
// once. The second sign needs no knowledge of addresses: a redirected
// connection keeps its source, and its original destination is what was
// dialled. That it came through another listener before is no loop: a pod that
// calls itself by its own address passes outbound capture and then inbound.
//
// A Guard serves all loops; its methods may be called from any thread.
type Guard struct {
	Hosts *Hosts

	seed maphash.Seed
	mu   sync.Mutex
	// own holds the connections being made or relayed, by a hash of source
	// and destination (a map without pointers costs the garbage collector
	// nothing), and the listeners that each has come through.
	own map[uint64]Trail
}

// Trail is the set of listeners that a connection came through, by ordinal.
// Listeners whose ordinals are equal modulo 64 count as one.
type Trail uint64

// With is the trail after one more listener.
func (t Trail) With(listener int) Trail { return t | 1<<(uint(listener)%64) }

// Has says whether the listener is on the trail.
func (t Trail) Has(listener int) bool { return t&(1<<(uint(listener)%64)) != 0 }

// NewGuard makes a guard that asks hosts for this host's addresses.
func NewGuard(hosts *Hosts) *Guard {
	return &Guard{Hosts: hosts, seed: maphash.MakeSeed(), own: make(map[uint64]Trail)}
}

// Dialed notes a connection from one address to another, with the trail of the
// downstream one. The caller calls Closed with the same addresses later. false:
// there is such a connection already, and nothing was noted.
func (g *Guard) Dialed(from, to netip.AddrPort, trail Trail) bool {
	key := g.key(from, to)
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, taken := g.own[key]; taken {
		return false
	}
	g.own[key] = trail
	return true
}

// Closed forgets a connection.
func (g *Guard) Closed(from, to netip.AddrPort) {
	key := g.key(from, to)
	g.mu.Lock()
	delete(g.own, key)
	g.mu.Unlock()
}

// Trail is what Dialed noted of the connection that peer makes to destination,
// and empty for connections of others.
func (g *Guard) Trail(peer, destination netip.AddrPort) Trail {
	key := g.key(peer, destination)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.own[key]
}

func (g *Guard) key(source, destination netip.AddrPort) uint64 {
	var tuple [36]byte
	from, to := source.Addr().As16(), destination.Addr().As16()
	copy(tuple[:], from[:])
	copy(tuple[16:], to[:])
	tuple[32], tuple[33] = byte(source.Port()>>8), byte(source.Port())
	tuple[34], tuple[35] = byte(destination.Port()>>8), byte(destination.Port())
	return maphash.Bytes(g.seed, tuple[:])
}
