package cluster

import (
	"math"
	"slices"
	"testing"
)

// nginx is smooth weighted round robin as nginx has it, over members.
func nginx(weights []int) []int32 {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	current := make([]int, len(weights))
	var slots []int32
	for range sum {
		best := 0
		for i, w := range weights {
			current[i] += w
			if current[i] > current[best] {
				best = i
			}
		}
		current[best] -= sum
		slots = append(slots, int32(best))
	}
	return slots
}

func TestSmoothAsNginx(t *testing.T) {
	for _, weights := range [][]int{{1}, {1, 1, 1}, {5, 2}, {7, 3, 2}, {100, 1}, {4, 3, 2, 1}} {
		if got, want := smooth(weights), nginx(weights); !slices.Equal(got, want) {
			t.Errorf("weights %v: turns %v, want %v", weights, got, want)
		}
	}
}

// Where members have equal weights, classes spread the heavy one better than
// nginx's 0 0 1 0 2 0 0, whose rounds join to four turns in a row.
func TestSmoothWithEqualWeights(t *testing.T) {
	if got, want := smooth([]int{5, 1, 1}), []int32{0, 1, 0, 0, 0, 2, 0}; !slices.Equal(got, want) {
		t.Errorf("turns %v, want %v", got, want)
	}
}

type reduceCase struct {
	name    string
	weights []uint32
	want    []int
}

func TestReduce(t *testing.T) {
	cases := []reduceCase{
		{"already small", []uint32{3, 2}, []int{3, 2}},
		{"common divisor", []uint32{100, 50, 0, 150}, []int{2, 1, 0, 3}},
		{"equal large ones", []uint32{4e9, 4e9}, []int{1, 1}},
		{"at least one slot", []uint32{math.MaxUint32, 1}, []int{65536, 1}},
		{"scaled down, then reduced again", []uint32{3000001, 1000000}, []int{3, 1}},
		{"none", []uint32{0}, []int{0}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := reduce(c.weights)
			if !slices.Equal(got, c.want) {
				t.Errorf("slots %v, want %v", got, c.want)
			}
		})
	}
}

// A heavy member must not get its turns in one go, nor must the light ones.
func TestScheduleHasNoBursts(t *testing.T) {
	weights := append(make([]uint32, 0, 101), 100)
	for range 100 {
		weights = append(weights, 1)
	}
	s, err := newSchedule(weights)
	if err != nil {
		t.Fatal(err)
	}
	for turn := range uint64(400) {
		heavy := s.at(turn) == 0
		if next := s.at(turn+1) == 0; heavy == next {
			t.Fatalf("turns %d and %d both heavy: %v", turn, turn+1, heavy)
		}
	}
}

func TestScheduleShares(t *testing.T) {
	weights := []uint32{5, 0, 3, 1000, 17, 17, 1}
	s, err := newSchedule(weights)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]uint32, len(weights))
	for range len(s.slots) * 3 {
		got[s.at(s.turn())]++
	}
	for i, w := range weights {
		if got[i] != 3*w {
			t.Errorf("member %d has %d turns in three rounds, want %d", i, got[i], 3*w)
		}
	}
}

// distinct are n weights that are all different: the slowest schedule to make.
func distinct(n int) []uint32 {
	weights := make([]uint32, n)
	for i := range weights {
		weights[i] = uint32(i)*7919 + 1
	}
	return weights
}

func TestScheduleOfManyDistinctWeights(t *testing.T) {
	s, err := newSchedule(distinct(5000))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.slots); n > maxSlots+5000 {
		t.Errorf("%d slots", n)
	}
	seen := make([]bool, 5000)
	for _, member := range s.slots {
		seen[member] = true
	}
	if slices.Contains(seen, false) {
		t.Error("an endpoint has no turn at all")
	}
}

func TestScheduleNeedsWeight(t *testing.T) {
	if _, err := newSchedule([]uint32{0, 0}); err == nil {
		t.Error("a schedule without turns was made")
	}
}

// The figures of docs/performance.md come from
//
//	go test ./cluster -run '^$' -bench . -benchmem
func BenchmarkNewSchedule(b *testing.B) {
	same := make([]uint32, 5000)
	for i := range same {
		same[i] = 1
	}
	worst := make([]uint32, 361) // scaled to as many different slot counts as fit
	for i := range worst {
		worst[i] = uint32(i+1) * 1000003
	}
	worst[0]++ // so that they have no divisor
	for name, weights := range map[string][]uint32{
		"5000Equal": same, "5000Distinct": distinct(5000), "361Classes": worst,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := newSchedule(weights); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
