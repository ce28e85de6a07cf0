package policy

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// benchRBAC has count policies, of which the last matches someFacts.
func benchRBAC(t testing.TB, count int) *RBAC {
	policies := make([]Policy, count)
	for i := range policies {
		p := Policy{Name: fmt.Sprintf("p%06d", i), DestinationPorts: []PortRange{Port(9080)}, NotServerNames: []string{"*.bad"}}
		for j := range 16 {
			p.SourceIPs = append(p.SourceIPs, netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(i), byte(2 * j), 0}), 24))
		}
		policies[i] = p
	}
	policies[count-1].SourceIPs = prefixes(t, "10.4.0.0/16")
	return compile(t,
		Rules{Deny, []Policy{{Name: "bad", ServerNames: []string{"*.bad", "bad"}}}},
		Rules{Log, []Policy{{Name: "log", NotDestinationIPs: prefixes(t, "10.4.7.7/32", "fd00::/8")}}},
		Rules{Allow, policies})
}

// benchManyAddresses has one deny policy with count prefixes.
func benchManyAddresses(t testing.TB, count int) *RBAC {
	p := Policy{Name: "p"}
	for i := range count {
		p.SourceIPs = append(p.SourceIPs, netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(i >> 8), byte(i), 0}), 25))
	}
	return compile(t, Rules{Deny, []Policy{p}})
}

func TestNothingAllocates(t *testing.T) {
	r := benchRBAC(t, 10)
	limit, err := NewConnectionLimit(10)
	if err != nil {
		t.Fatal(err)
	}
	rate := rateLimit(t, TokenBucket{10, 1, time.Second}, 0)
	sources := NewSources(10)
	sources.SetMax(2)
	none := compile(t, Rules{Action: Allow})
	unknown := Facts{ServerNameUnknown: true}
	facts := someFacts()
	for name, act := range map[string]func(){
		"allow":   func() { r.Decide(&facts) },
		"deny":    func() { r.Decide(&unknown) },
		"nothing": func() { none.Decide(&facts) },
		"limit":   func() { p, _ := limit.Take(); p.Release() },
		"rate":    func() { rate.Take(second) },
		"sources": func() { p, _ := sources.Take(facts.Source); p.Release() },
	} {
		if n := testing.AllocsPerRun(100, act); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestLongNamesCostLittle: with each dot of a long name looked up, this reads
// 2 GB a turn and the test does not end.
func TestLongNamesCostLittle(t *testing.T) {
	patterns := []string{"*.a.example", "*.b"}
	for i := range 20 { // small maps compare lengths before they hash
		patterns = append(patterns, fmt.Sprintf("*.%d", i))
	}
	n := newNames(patterns)
	dots := strings.Repeat(".", 1<<16)
	for range 1000 {
		if n.contain(dots) || !n.contain(dots+"a.example") || !n.contain(dots+"b") {
			t.Fatal("a long name is taken for another")
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, count := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("policies=%d", count), func(b *testing.B) {
			r, facts := benchRBAC(b, count), someFacts()
			b.ReportAllocs()
			for b.Loop() {
				if !r.Decide(&facts).Allowed {
					b.Fatal("denied")
				}
			}
		})
	}
	for _, count := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("prefixes=%d", count), func(b *testing.B) {
			r, facts := benchManyAddresses(b, count), someFacts()
			facts.Source = netip.MustParseAddr("11.0.50.200")
			b.ReportAllocs()
			for b.Loop() {
				if !r.Decide(&facts).Allowed {
					b.Fatal("denied")
				}
			}
		})
	}
}

func BenchmarkConnectionLimit(b *testing.B) {
	l, err := NewConnectionLimit(10)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p, _ := l.Take()
		p.Release()
	}
}

func BenchmarkRateLimit(b *testing.B) {
	r := rateLimit(b, TokenBucket{MostTokens, 1000, MinFillInterval}, 0)
	b.ReportAllocs()
	for now := int64(0); b.Loop(); now = (now + 1000) % math.MaxInt64 {
		r.Take(now)
	}
}

func BenchmarkSources(b *testing.B) {
	s := NewSources(1 << 20)
	s.SetMax(10)
	for i := range 100_000 {
		if _, refusal := s.Take(sourceNumber(i)); refusal != NotRefused {
			b.Fatal(refusal)
		}
	}
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p, _ := s.Take(sourceNumber(i % 100_000))
			p.Release()
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p, _ := s.Take(sourceNumber(200_000 + i%100_000))
			p.Release()
		}
	})
	b.Run("loops", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				p, _ := s.Take(sourceNumber(i % 1000))
				p.Release()
			}
		})
	})
}
