package listener

import (
	"fmt"
	"net/netip"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/intercept"
	"github.com/sluiceproxy/sluice/internal/stats"
)

// Table is all listeners of one configuration.
type Table struct {
	listeners []*Listener
	byAddress map[netip.AddrPort]*Listener
	ports     map[uint16]struct{} // of bound listeners that capture
	entrances intercept.Entrances
}

// NewTable makes the listeners of a validated configuration. Problems are
// filter chains that cannot stand side by side, and rules that cannot hold.
func NewTable(configs []config.Listener, registry *stats.Registry) (*Table, config.Problems) {
	t := &Table{byAddress: make(map[netip.AddrPort]*Listener), ports: make(map[uint16]struct{})}
	t.entrances.Ports = make(map[uint16]struct{})
	var problems config.Problems
	bound := 0
	for i := range configs {
		cfg := &configs[i]
		index, wrong := NewIndex(cfg.FilterChains, cfg.DefaultFilterChain != nil)
		for _, p := range wrong {
			p.Path = fmt.Sprintf("listeners[%d].%s", i, p.Path)
			problems = append(problems, p)
		}
		namers, wrong := newNamers(cfg)
		for _, p := range wrong {
			p.Path = fmt.Sprintf("listeners[%d].%s", i, p.Path)
			problems = append(problems, p)
		}
		ln := &Listener{
			Config:  cfg,
			Stats:   registry.Listener(cfg.Address.String()),
			Mode:    modeOf(cfg.InterceptionMode),
			Ordinal: bound,
			index:   index,
			filters: newFilters(cfg),
			namers:  namers,
		}
		t.listeners = append(t.listeners, ln)
		t.byAddress[cfg.Address] = ln
		if !cfg.Bind {
			continue
		}
		bound++
		t.entrances.Ports[cfg.Address.Port()] = struct{}{}
		if ln.Mode.Captures() {
			t.ports[cfg.Address.Port()] = struct{}{}
			t.entrances.Capture = true
		}
	}
	return t, problems
}

// Listeners are the table's listeners in the order of the configuration.
func (t *Table) Listeners() []*Listener { return t.listeners }

// Owner is the listener that a connection to destination belongs to when it
// came to ln: with use_original_dst the one whose address is the destination,
// else the one with the wildcard address and that port, else ln itself.
func (t *Table) Owner(ln *Listener, destination netip.AddrPort) *Listener {
	if !ln.Config.UseOriginalDst {
		return ln
	}
	if owner, ok := t.byAddress[destination]; ok {
		return owner
	}
	wildcard := netip.IPv4Unspecified()
	if destination.Addr().Is6() {
		wildcard = netip.IPv6Unspecified()
	}
	if owner, ok := t.byAddress[netip.AddrPortFrom(wildcard, destination.Port())]; ok {
		return owner
	}
	return ln
}

// Entrances are the ways in, for the loop guard. They do not change.
func (t *Table) Entrances() *intercept.Entrances { return &t.entrances }

// CapturePort says whether a bound capture listener has this port.
func (t *Table) CapturePort(port uint16) bool {
	_, ok := t.ports[port]
	return ok
}
