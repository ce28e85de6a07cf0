package listener

import (
	"fmt"
	"net/netip"
	"reflect"
	"sync/atomic"

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
	ordinals  map[int]bool // that are taken
}

// NewTable makes the listeners of a validated configuration. Problems are
// filter chains that cannot stand side by side, and rules that cannot hold.
func NewTable(configs []config.Listener, registry *stats.Registry) (*Table, config.Problems) {
	return new(Table).Next(configs, registry)
}

// Next makes the table that follows t, which stays as it is. Listeners keep their
// ordinals and what they carry, by address.
func (t *Table) Next(configs []config.Listener, registry *stats.Registry) (*Table, config.Problems) {
	next := &Table{byAddress: make(map[netip.AddrPort]*Listener), ports: make(map[uint16]struct{})}
	next.entrances.Ports = make(map[uint16]struct{})
	next.ordinals = t.keptOrdinals(configs)
	problems := t.fill(next, configs, registry)
	return next, problems
}

// keptOrdinals are those of the addresses that stay.
func (t *Table) keptOrdinals(configs []config.Listener) map[int]bool {
	kept := make(map[int]bool)
	for i := range configs {
		if old := t.byAddress[configs[i].Address]; old != nil {
			kept[old.Ordinal] = true
		}
	}
	return kept
}

// freeOrdinal is the lowest that no listener has.
func (t *Table) freeOrdinal() int {
	n := 0
	for t.ordinals[n] {
		n++
	}
	t.ordinals[n] = true
	return n
}

// chainIndex is the old listener's where its chains are the same: with many of
// them it takes long to make.
func chainIndex(cfg *config.Listener, old *Listener) (*Index, config.Problems) {
	if old != nil && reflect.DeepEqual(cfg.FilterChains, old.Config.FilterChains) &&
		(cfg.DefaultFilterChain != nil) == (old.Config.DefaultFilterChain != nil) {
		return old.index, nil
	}
	return NewIndex(cfg.FilterChains, cfg.DefaultFilterChain != nil)
}

func (t *Table) fill(next *Table, configs []config.Listener, registry *stats.Registry) config.Problems {
	var problems config.Problems
	for i := range configs {
		cfg := &configs[i]
		old := t.byAddress[cfg.Address]
		index, wrong := chainIndex(cfg, old)
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
			index:   index,
			filters: newFilters(cfg),
			namers:  namers,
		}
		if old != nil {
			ln.Ordinal, ln.active = old.Ordinal, old.active
		} else {
			ln.Ordinal, ln.active = next.freeOrdinal(), new(atomic.Int64)
		}
		next.add(ln)
	}
	return problems
}

func (t *Table) add(ln *Listener) {
	address := ln.Config.Address
	t.listeners = append(t.listeners, ln)
	t.byAddress[address] = ln
	if !ln.Config.Bind {
		return
	}
	t.entrances.Ports[address.Port()] = struct{}{}
	if ln.Mode.Captures() {
		t.ports[address.Port()] = struct{}{}
		t.entrances.Capture = true
	}
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
