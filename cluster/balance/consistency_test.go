package balance

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// owners tells who each of many hashes goes to.
func owners(t *Table) []int32 {
	const hashes = 1 << 17
	list := make([]int32, hashes)
	for i := range list {
		c, _ := t.Pick(&Query{Hash: uint64(i) * 0x9e3779b97f4a7c15, Hashed: true})
		list[i] = c.ID
	}
	return list
}

// moved is the part of hashes whose owner is another.
func moved(before, after []int32) float64 {
	n := 0
	for i := range before {
		if before[i] != after[i] {
			n++
		}
	}
	return float64(n) / float64(len(before))
}

// disruption removes members one at a time, up to 16 of them, and compares the
// part of hashes that move with the ideal, which is the removed member's share.
func disruption(policy config.LBPolicy, n int) float64 {
	o := optionsFor(policy)
	members := membersOf(equal(n)...)
	whole := Build(members, &o, nil)
	before := owners(whole)
	sum, removals := 0.0, min(n, 16)
	for i := range removals {
		gone := i * n / removals
		rest := slices.Delete(slices.Clone(members), gone, gone+1)
		sum += moved(before, owners(Build(rest, &o, whole)))
	}
	return sum / float64(removals) * float64(n)
}

// TestHistoryDoesNotMatter has tables agree, whatever order members come in and
// whatever was before: two sidecars must send one client to one place.
func TestHistoryDoesNotMatter(t *testing.T) {
	for _, policy := range []config.LBPolicy{config.RingHash, config.Maglev} {
		t.Run(string(policy), func(t *testing.T) {
			o := optionsFor(policy)
			r := rand.New(rand.NewPCG(1, 1))
			members := membersOf(mixed(200)...)
			var table *Table
			for range 12 {
				m := &members[r.IntN(len(members))]
				switch r.IntN(3) {
				case 0:
					m.Health = Health(r.IntN(2)) * Unhealthy
				case 1:
					m.Weight = 1 + r.Uint32N(1000)
				default:
					m.Ramp = r.Float64()
				}
				r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
				table = Build(members, &o, table)
				if n := moved(owners(table), owners(Build(members, &o, nil))); n != 0 {
					t.Fatalf("%v of all hashes differ", n)
				}
			}
			if Build(members, &o, table).sets[0].ring != table.sets[0].ring || Build(members, &o, table).sets[0].maglev != table.sets[0].maglev {
				t.Error("nothing has changed, and yet there is a new table")
			}
		})
	}
}

// TestRingBounds keeps the ring between its bounds.
func TestRingBounds(t *testing.T) {
	for _, c := range []struct {
		name              string
		members           int
		minimum, maximum  uint32
		fewest, mostShare int
	}{
		{"few members", 4, 1024, 8 << 20, 1020, 1028},
		{"many members", 100, 1024, 8 << 20, 3150, 3250},
		{"largest below what many want", 100, 64, 1000, 950, 1050},
		{"largest below one each", 100, 10, 50, 100, 100},
		{"no bounds", 3, 0, 0, 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := optionsFor(config.RingHash)
			o.RingHash = config.RingHashPolicy{MinimumRingSize: c.minimum, MaximumRingSize: c.maximum}
			n := len(Build(membersOf(equal(c.members)...), &o, nil).sets[0].ring.hashes)
			if n < c.fewest || n > c.mostShare {
				t.Errorf("%d points, want %d to %d", n, c.fewest, c.mostShare)
			}
		})
	}
}

func TestNextPrime(t *testing.T) {
	for _, c := range [][2]uint32{{0, 2}, {2, 2}, {4, 5}, {65536, 65537}, {65537, 65537}, {5000010, 5000011}} {
		if got := nextPrime(c[0]); got != c[1] {
			t.Errorf("after %d comes %d, want %d", c[0], got, c[1])
		}
	}
}
