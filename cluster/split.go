package cluster

import (
	"errors"
	"strconv"

	"github.com/sluiceproxy/sluice/cluster/balance"
	"github.com/sluiceproxy/sluice/config"
)

var errNoWeight = errors.New("weighted clusters: no weight is above 0")

// Split shares connections among clusters by weight
// (tcp_proxy.weighted_clusters). It is immutable and safe for all loops.
type Split struct{ table *balance.Table }

// NewSplit makes a split by the weights of shares.
func NewSplit(shares []config.WeightedCluster) (*Split, error) {
	members := make([]balance.Member, len(shares))
	sum := uint64(0)
	for i, share := range shares {
		members[i] = balance.Member{ID: int32(i), Key: strconv.Itoa(i), Weight: share.Weight, Locality: -1}
		sum += uint64(share.Weight)
	}
	if sum == 0 {
		return nil, errNoWeight
	}
	return &Split{balance.Build(members, &balance.Options{Policy: config.RoundRobin}, nil)}, nil
}

// Pick is the place, among the shares, of the next connection's cluster. Shares
// are exact over all loops.
func (s *Split) Pick() int {
	choice, _ := s.table.Pick(&balance.Query{})
	return int(choice.Index)
}

// Shares is what each place gets of the connections, in percent.
func (s *Split) Shares() []float64 { return s.table.Shares() }
