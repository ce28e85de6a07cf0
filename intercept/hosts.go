package intercept

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Hosts knows which addresses are this host's own. Has may be called from any
// thread and never blocks.
type Hosts struct {
	addresses atomic.Pointer[map[netip.Addr]struct{}]
}

// NewHosts reads the addresses of this network namespace.
func NewHosts() (*Hosts, error) {
	h := new(Hosts)
	if err := h.Refresh(); err != nil {
		return nil, err
	}
	return h, nil
}

// Has says whether addr is one of this host's: a loopback or the unspecified
// address (connect(2) takes 0.0.0.0 for loopback), or on one of
// its interfaces when they were last read.
func (h *Hosts) Has(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	_, ok := (*h.addresses.Load())[addr]
	return ok
}

// Refresh reads the addresses again.
func (h *Hosts) Refresh() error {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("reading this host's addresses: %w", err)
	}
	addresses := make(map[netip.Addr]struct{}, len(interfaces))
	for _, a := range interfaces {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			addresses[prefix.Addr().Unmap()] = struct{}{}
		}
	}
	h.addresses.Store(&addresses)
	return nil
}

// Keep refreshes the addresses at every interval until ctx ends. A failed
// refresh keeps the last addresses; failed hears of it.
func (h *Hosts) Keep(ctx context.Context, interval time.Duration, failed func(error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := h.Refresh(); err != nil {
				failed(err)
			}
		}
	}
}
