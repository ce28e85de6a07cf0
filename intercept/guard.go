package intercept

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Guard notices loops: connections that the daemon makes and captures again.
// Left alone, each one makes the next, until no descriptor or port is left
// (istio/istio#14242).
//
// Two signs give a loop away. The original destination is an address of this
// host with a capture listener's own port; or the captured connection is one
// that the daemon itself is dialling, captured by the same listener before, as
// often as that may happen (Mode.Turns). The second sign needs no knowledge of
// addresses: a redirected connection keeps its source, and its original
// destination is what was dialled. That it came through another listener before
// is no loop: a pod that calls itself by its own address passes outbound capture
// and then inbound.
//
// The source port of a dialled connection is known only when connect(2) has
// returned, and by then another loop may have accepted it. So a dial is announced
// first, by its destination (Begin), and who accepts a connection to the same
// destination meanwhile looks again a moment later (Trail's sure).
//
// A Guard serves all loops; its methods may be called from any thread.
type Guard struct {
	Hosts *Hosts

	entrances atomic.Pointer[Entrances] // nil: not known

	seed maphash.Seed
	mu   sync.Mutex
	// own holds the connections being made or relayed, by a hash of source
	// and destination (a map without pointers costs the garbage collector
	// nothing), and the listeners that each has come through.
	own map[uint64]Trail
	// begun counts announced dials, by a hash of the destination.
	begun map[uint64]int
}

// Trail is the listeners that a connection came through, by ordinal, and which of
// them more than once. Listeners whose ordinals are equal modulo 64 count as one.
// The zero Trail is that of a connection of others.
type Trail struct{ once, again uint64 }

// With is the trail after one more listener.
func (t Trail) With(listener int) Trail {
	bit := uint64(1) << (uint(listener) % 64)
	return Trail{t.once | bit, t.again | t.once&bit}
}

// Turns is how often the connection came through the listener: 0, 1, or 2 for more
// than once.
func (t Trail) Turns(listener int) int {
	bit := uint(listener) % 64
	return int(t.once>>bit&1 + t.again>>bit&1)
}

// NewGuard makes a guard that asks hosts for this host's addresses.
func NewGuard(hosts *Hosts) *Guard {
	return &Guard{Hosts: hosts, seed: maphash.MakeSeed(), own: make(map[uint64]Trail), begun: make(map[uint64]int)}
}

// Entrances are the ways into the daemon.
type Entrances struct {
	Capture bool                // some listener captures: whatever is dialled may come back
	Ports   map[uint16]struct{} // that listeners have
}

// SetEntrances tells where connections can come in. It may change at any time.
func (g *Guard) SetEntrances(e *Entrances) { g.entrances.Store(e) }

// Concerns says whether a connection to an address may come back to the daemon,
// so that it has to be noted. Most cannot where nothing is captured.
func (g *Guard) Concerns(to netip.AddrPort) bool {
	e := g.entrances.Load()
	if e == nil || e.Capture {
		return true
	}
	_, own := e.Ports[to.Port()]
	return own
}

// OwnPort says whether an address is this host's, with a port of the daemon's
// own listeners: dialling it would come straight back.
func (g *Guard) OwnPort(to netip.AddrPort) bool {
	e := g.entrances.Load()
	if e == nil {
		return false
	}
	_, own := e.Ports[to.Port()]
	return own && g.Hosts.Has(to.Addr())
}

// Begin announces a dial. The caller calls Landed or Failed next.
func (g *Guard) Begin(to netip.AddrPort) {
	key := g.key(netip.AddrPort{}, to)
	g.mu.Lock()
	g.begun[key]++
	g.mu.Unlock()
}

// Landed notes the connection that an announced dial has made, with the trail of
// the downstream one. The caller calls Closed with the same addresses later.
func (g *Guard) Landed(from, to netip.AddrPort, trail Trail) {
	key := g.key(from, to)
	g.mu.Lock()
	g.own[key] = trail
	g.end(to)
	g.mu.Unlock()
}

// Failed notes that an announced dial has made no connection.
func (g *Guard) Failed(to netip.AddrPort) {
	g.mu.Lock()
	g.end(to)
	g.mu.Unlock()
}

// end takes an announcement back. The lock is held.
func (g *Guard) end(to netip.AddrPort) {
	key := g.key(netip.AddrPort{}, to)
	if g.begun[key]--; g.begun[key] <= 0 {
		delete(g.begun, key)
	}
}

// Claim notes a connection whose source is known before it is made, so that it
// needs no announcement. The caller calls Closed later. false: there is such a
// connection already, and nothing was noted.
func (g *Guard) Claim(from, to netip.AddrPort, trail Trail) bool {
	key := g.key(from, to)
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, taken := g.own[key]; taken {
		return false
	}
	g.own[key] = trail
	return true
}

// Closed forgets a connection that Landed or Claim has noted.
func (g *Guard) Closed(from, to netip.AddrPort) {
	key := g.key(from, to)
	g.mu.Lock()
	delete(g.own, key)
	g.mu.Unlock()
}

// Trail is what was noted of the connection that peer makes to destination, and
// empty for connections of others. Not sure: a dial to that destination is under
// way, and may be this one.
func (g *Guard) Trail(peer, destination netip.AddrPort) (trail Trail, sure bool) {
	key, announced := g.key(peer, destination), g.key(netip.AddrPort{}, destination)
	g.mu.Lock()
	defer g.mu.Unlock()
	trail, noted := g.own[key]
	return trail, noted || g.begun[announced] == 0
}

func (g *Guard) key(source, destination netip.AddrPort) uint64 {
	var tuple [36]byte
	if source.IsValid() {
		from := source.Addr().As16()
		copy(tuple[:], from[:])
	}
	to := destination.Addr().As16()
	copy(tuple[16:], to[:])
	tuple[32], tuple[33] = byte(source.Port()>>8), byte(source.Port())
	tuple[34], tuple[35] = byte(destination.Port()>>8), byte(destination.Port())
	return maphash.Bytes(g.seed, tuple[:])
}
