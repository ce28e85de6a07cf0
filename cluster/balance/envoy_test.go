package balance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// ports are hosts as Envoy's tests have them.
func ports(format string) []string {
	keys := make([]string, 6)
	for i := range keys {
		keys[i] = fmt.Sprintf(format, 90+i)
	}
	return keys
}

// TestEnvoysRing holds points to Envoy's (ring_hash_lb_test.cc, Basic).
func TestEnvoysRing(t *testing.T) {
	r := newRing(ports("127.0.0.1:%d"), []float64{1, 1, 1, 1, 1, 1}, config.RingHashPolicy{MinimumRingSize: 12, MaximumRingSize: 12}, nil)
	hashes := []uint64{
		833437586790550860, 928266305478181108, 1033482794131418490, 3551244743356806947,
		3851675632748031481, 5583722120771150861, 6311230543546372928, 7700377290971790572,
		13144177310400110813, 13444792449719432967, 15516499411664133160, 16117243373044804889,
	}
	if owners := []int32{4, 2, 0, 5, 3, 1, 1, 3, 5, 2, 4, 0}; !slices.Equal(r.hashes, hashes) || !slices.Equal(r.owners, owners) {
		t.Errorf("got %d owned by %d, want %d by %d", r.hashes, r.owners, hashes, owners)
	}
	for _, c := range []struct {
		hash uint64
		want int32
	}{{0, 4}, {1<<64 - 1, 4}, {3551244743356806947, 5}, {3551244743356806948, 3}, {16117243373044804880, 0}} {
		if got := r.at(r.find(c.hash)); got != c.want {
			t.Errorf("%d belongs to %d, want %d", c.hash, got, c.want)
		}
	}
}

// maglevCase is a table of Envoy's tests.
type maglevCase struct {
	name    string
	keys    []string
	weights []float64
	size    uint32
	want    []int32
}

// TestEnvoysMaglev holds tables to Envoy's (maglev_lb_test.cc), entry by entry.
func TestEnvoysMaglev(t *testing.T) {
	for _, c := range []maglevCase{
		{"Basic", ports("127.0.0.1:%d"), []float64{1, 1, 1, 1, 1, 1}, 7, []int32{2, 4, 0, 1, 5, 0, 3}},
		{"BasicWithHostName", ports("%d"), []float64{1, 1, 1, 1, 1, 1}, 7, []int32{2, 5, 0, 3, 4, 1, 0}},
		{"Weighted", ports("127.0.0.1:%d")[:2], []float64{1, 2}, 17, []int32{1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1}},
		{"LocalityWeightedSameLocalityWeights", ports("127.0.0.1:%d")[:2], []float64{0.5, 0.5}, 17, []int32{1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1}},
		{"LocalityWeightedDifferentLocalityWeights", ports("127.0.0.1:%d")[:2], []float64{0.8, 0.2}, 17, []int32{1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := newMaglev(c.keys, c.weights, c.size, nil).owners; !slices.Equal(got, c.want) {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
