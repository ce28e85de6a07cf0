package cluster

import (
	"math"
	"net/netip"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

type shareCase struct {
	name    string
	weights []uint32
	want    []float64
}

func TestShares(t *testing.T) {
	for _, c := range []shareCase{
		{"one", []uint32{7}, []float64{100}},
		{"three to one", []uint32{3, 1}, []float64{75, 25}},
		{"none for a weight of 0", []uint32{1, 0, 1}, []float64{50, 0, 50}},
		{"reduced", []uint32{200, 100, 100}, []float64{50, 25, 25}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var split []config.WeightedCluster
			for _, w := range c.weights {
				split = append(split, config.WeightedCluster{Weight: w})
			}
			s, err := NewSplit(split)
			if err != nil {
				t.Fatal(err)
			}
			ofSplit := s.Shares()
			for i, share := range static(t, c.weights...).Shares(netip.AddrPort{}) {
				if math.Abs(share.Percent-c.want[i]) > 1e-9 || math.Abs(ofSplit[i]-c.want[i]) > 1e-9 {
					t.Errorf("member %d: %v and %v percent, want %v", i, share.Percent, ofSplit[i], c.want[i])
				}
			}
			if len(ofSplit) != len(c.want) {
				t.Errorf("%d shares, want %d", len(ofSplit), len(c.want))
			}
		})
	}
}

func TestSharesOfOriginalDestination(t *testing.T) {
	c := with(t, func(cfg *config.Cluster) { cfg.Type, cfg.UpstreamPortOverride = config.ClusterOriginalDst, 8080 })
	original := netip.MustParseAddrPort("10.4.1.12:9080")
	want := Share{Address: "10.4.1.12:8080", Percent: 100, Health: "healthy"}
	if got := c.Shares(original); len(got) != 1 || got[0] != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := c.Shares(netip.AddrPort{}); got != nil {
		t.Errorf("%v without an original destination", got)
	}
}
