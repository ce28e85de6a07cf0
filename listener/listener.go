package listener

import (
	"net/netip"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/intercept"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/listener/policy"
)

// Listener is one configured listener: what the sockets at its address, and
// listeners that hand over to it, have in common. It is made by NewTable and
// serves all loops.
type Listener struct {
	Config  *config.Listener
	Stats   stats.Listener
	Mode    intercept.Mode
	Ordinal int // of its address, as long as there is a listener with it

	// Serve takes a connection on the loop with the given number. It is set
	// before the first acceptor is made, and called on that loop's thread.
	Serve func(loop int, a Accepted)

	index   *Index
	filters filters
	namers  namers
	active  *atomic.Int64 // shared with what it was in earlier configurations
}

// NewOrphanage makes a listener that has no socket and chooses no chain: it counts
// the connections whose listeners are gone.
func NewOrphanage(cfg *config.Listener, st stats.Listener) *Listener {
	return &Listener{Config: cfg, Stats: st, active: new(atomic.Int64)}
}

// Match chooses the filter chain: its place in the configuration, or NoMatch.
func (l *Listener) Match(f *Facts) int { return l.index.Match(f) }

// Needs tells which answers of inspection can still change which chain takes a
// connection, or whether that chain's rbac lets it through; see Index.Needs.
func (l *Listener) Needs(f *Facts) Needs { return l.needs(f) }

// Trace is Match step by step, for people: it takes as long as to build the
// listener's index.
func (l *Listener) Trace(f *Facts) (chain int, steps []Step) { return newTracer(l.index).trace(f) }

// Fitting are the chains each of whose criteria the connection meets, taken by
// itself. Match may choose none of them.
func (l *Listener) Fitting(f *Facts) []int { return l.index.fitting(f) }

// Succeeds says whether l is what a reload has made of old, or old itself: a
// listener with its address.
func (l *Listener) Succeeds(old *Listener) bool { return l.active == old.active }

// Active is how many connections the listener carries now.
func (l *Listener) Active() int64 { return l.active.Load() }

// Accepted is a connection that has come in. Whoever it is passed to owns the
// descriptor.
type Accepted struct {
	FD          int
	Listener    *Listener
	Peer        netip.AddrPort // the socket's peer
	Destination netip.AddrPort // the original destination; invalid if Refusal is NoOriginalDestination
	Trail       intercept.Trail
	At          int64 // loop time of accept
	Refusal     Refusal

	// Place is the connection's place under the limit of its source. Whoever
	// serves the connection releases it at its end.
	Place policy.SourcePlace
}

// Refusal is why a connection must not be served, only recorded and reset.
type Refusal uint8

// The refusals. A refused connection holds no place under the limits.
const (
	Admitted Refusal = iota
	NoOriginalDestination
	LoopGuard
	ListenerFull // the listener's max_connections
	ProcessFull  // limits.max_connections
	SourceFull   // limits.max_connections_per_source
)

func modeOf(m config.InterceptionMode) intercept.Mode {
	switch m {
	case config.InterceptRedirect:
		return intercept.Redirect
	case config.InterceptTProxy:
		return intercept.TProxy
	}
	return intercept.Direct
}
