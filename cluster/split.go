package cluster

import (
	"fmt"

	"github.com/sluiceproxy/sluice/config"
)

// Split shares connections among clusters by weight
// (tcp_proxy.weighted_clusters). It is immutable and safe for all loops.
type Split struct {
	schedule *schedule
	members  int
}

// NewSplit makes a split by the weights of shares.
func NewSplit(shares []config.WeightedCluster) (*Split, error) {
	weights := make([]uint32, len(shares))
	for i, share := range shares {
		weights[i] = share.Weight
	}
	schedule, err := newSchedule(weights)
	if err != nil {
		return nil, fmt.Errorf("weighted clusters: %w", err)
	}
	return &Split{schedule, len(shares)}, nil
}

// Pick is the place, among the shares, of the next connection's cluster. Shares
// are exact over all loops.
func (s *Split) Pick() int { return int(s.schedule.at(s.schedule.turn())) }

// Shares is what each place gets of the connections, in percent.
func (s *Split) Shares() []float64 { return s.schedule.shares(s.members) }
