package load

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

// plan is what the generators of a run have in common.
type plan struct {
	target   netip.AddrPort
	load     bench.Load
	patience time.Duration
	zero     time.Time // of everybody's clock
	response response
}

// rated says whether the clock tells when requests are due.
func (p *plan) rated() bool {
	return p.load.Rate > 0 && (p.load.Kind == bench.Requests || p.load.Kind == bench.Connections)
}

// share is the i-th loop's part of n.
func (p *plan) share(n, i int) int {
	part := n / p.load.Loops
	if i < n%p.load.Loops {
		part++
	}
	return part
}
