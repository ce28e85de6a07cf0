package balance

import (
	"fmt"
	"testing"
)

// sizes are the numbers of endpoints that figures are measured at.
func sizes() []int { return []int{10, 5000} }

func kinds(n int) []namedWeights {
	return []namedWeights{{"equal", equal(n)}, {"mixed", mixed(n)}}
}

// BenchmarkPick is one loop that picks, BenchmarkPickParallel as many as there
// are cores, from the same table.
//
//	go test ./cluster/balance -run '^$' -bench 'Pick' -benchmem
func BenchmarkPick(b *testing.B) {
	eachTable(b, func(b *testing.B, t *Table) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			pickOnce(b, t, uint64(i)*0x9e3779b97f4a7c15)
		}
	})
}

func BenchmarkPickParallel(b *testing.B) {
	eachTable(b, func(b *testing.B, t *Table) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for i := uint64(0); p.Next(); i++ {
				pickOnce(b, t, i*0x9e3779b97f4a7c15)
			}
		})
	})
}

func pickOnce(b *testing.B, t *Table, hash uint64) {
	var tried Tried
	if _, ok := t.Pick(&Query{Hash: hash, Hashed: true, Tried: &tried}); !ok {
		b.Fatal("nothing picked")
	}
}

func eachTable(b *testing.B, run func(b *testing.B, t *Table)) {
	for _, policy := range policies() {
		for _, n := range sizes() {
			for _, w := range kinds(n) {
				o := optionsFor(policy)
				members := membersOf(w.weights...)
				for i := range members {
					members[i].Active.Store(int64(1 + i%7*int(members[i].Weight)))
				}
				t := Build(members, &o, nil)
				b.Run(fmt.Sprintf("%s/members=%d/weights=%s", policy, n, w.name), func(b *testing.B) { run(b, t) })
			}
		}
	}
}

// BenchmarkUpdate is a change of one of 5,000 members: its health goes to and
// fro. BenchmarkBuild makes a table from nothing.
func BenchmarkUpdate(b *testing.B) {
	for _, policy := range policies() {
		for _, w := range kinds(5000) {
			b.Run(fmt.Sprintf("%s/weights=%s", policy, w.name), func(b *testing.B) {
				o := optionsFor(policy)
				members := membersOf(w.weights...)
				t := Build(members, &o, nil)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					m := &members[i/2%len(members)]
					m.Health ^= Unhealthy
					t = Build(members, &o, t)
				}
			})
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, policy := range policies() {
		for _, w := range kinds(5000) {
			b.Run(fmt.Sprintf("%s/weights=%s", policy, w.name), func(b *testing.B) {
				o := optionsFor(policy)
				members := membersOf(w.weights...)
				b.ReportAllocs()
				for b.Loop() {
					Build(members, &o, nil)
				}
			})
		}
	}
}
