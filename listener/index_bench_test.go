package listener

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// scripts/microbench runs these, but for NewIndex.
//
//	go test ./listener -run '^$' -bench 'Match/all/chains=1000$'
//	go test ./listener -run '^$' -bench NewIndex

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

func shape(n int, match func(int) config.Match) []config.FilterChain {
	chains := make([]config.FilterChain, n)
	for i := range chains {
		chains[i] = chain(fmt.Sprintf("chain-%d", i), match(i))
	}
	return chains
}

const maxPort = 65535

func shapePort(n int) []config.FilterChain {
	return shape(n, func(i int) config.Match { return config.Match{DestinationPort: uint16(i%maxPort + 1)} })
}

// shapePrefix mixes lengths: each group of 16 is nested in a /24.
func shapePrefix(n int) []config.FilterChain {
	return shape(n, func(i int) config.Match { return config.Match{PrefixRanges: []netip.Prefix{nested(i)}} })
}

func nested(i int) netip.Prefix {
	return netip.PrefixFrom(addr4(10<<24+uint32(i/8)<<8), 24+i%8)
}

func shapePortAndPrefix(n int) []config.FilterChain {
	return shape(n, func(i int) config.Match {
		return config.Match{DestinationPort: uint16(i%100 + 1), PrefixRanges: []netip.Prefix{netip.PrefixFrom(addr4(10<<24+uint32(i)), 32)}}
	})
}

func shapeSource(n int) []config.FilterChain {
	return shape(n, func(i int) config.Match { return config.Match{SourcePrefixRanges: []netip.Prefix{nested(i)}} })
}

func shapeSource6(n int) []config.FilterChain {
	return shape(n, func(i int) config.Match {
		return config.Match{SourcePrefixRanges: []netip.Prefix{netip.PrefixFrom(network6(i), 48)}}
	})
}

func network6(i int) netip.Addr {
	b := [16]byte{0: 0xfd}
	binary.BigEndian.PutUint32(b[2:], uint32(i))
	return netip.AddrFrom16(b)
}

// shapeAll uses each criterion.
func shapeAll(n int) []config.FilterChain {
	return shape(n, func(i int) config.Match {
		p := []netip.Prefix{netip.PrefixFrom(addr4(10<<24+uint32(i)), 32)}
		return config.Match{DestinationPort: uint16(i%100 + 1), PrefixRanges: p, DirectSourcePrefixRanges: p,
			SourceType: config.SourceLocal, SourcePrefixRanges: p, SourcePorts: []uint16{1, 2}}
	})
}

func tenant(i int) string { return fmt.Sprintf("reviews-%d.prod.svc.cluster.example", i) }

func shapeName(n int) []config.FilterChain {
	return shape(n, func(i int) config.Match { return config.Match{ServerNames: []string{tenant(i)}} })
}

func shapeWildcard(n int) []config.FilterChain {
	return shape(n, func(i int) config.Match { return config.Match{ServerNames: []string{"*." + tenant(i)}} })
}

func shapePortAndName(n int) []config.FilterChain {
	return shape(n, func(i int) config.Match {
		return config.Match{DestinationPort: uint16(i%(maxPort/2) + 1), ServerNames: []string{tenant(i)}, TransportProtocol: config.TransportTLS}
	})
}

// shapeEvery adds what inspection tells to shapeAll.
func shapeEvery(n int) []config.FilterChain {
	chains := shapeAll(n)
	for i := range chains {
		m := &chains[i].Match
		m.ServerNames, m.TransportProtocol, m.ApplicationProtocols = []string{tenant(i), "*." + tenant(i)}, config.TransportTLS, []string{"h2", "istio"}
	}
	return chains
}

// matchShape is one way in which chains are told apart.
type matchShape struct {
	name   string
	chains func(n int) []config.FilterChain
	facts  func(k int) Facts // a connection that chain k, or one near it, is for
}

func matchShapes() []matchShape {
	inside := func(k int) netip.Addr { return addr4(10<<24 + uint32(k/8)<<8 + uint32(k*37&255)) }
	protocols := []string{"http/1.1", "istio"}
	same := func(k int) Facts {
		a := addr4(10<<24 + uint32(k))
		return Facts{Destination: netip.AddrPortFrom(a, uint16(k%100+1)), DirectSource: a, Source: netip.AddrPortFrom(a, 1)}
	}
	named := func(k int) Facts {
		f := same(k)
		f.ServerName, f.TransportProtocol, f.ApplicationProtocols = tenant(k), config.TransportTLS, protocols
		return f
	}
	below := func(k int) Facts {
		f := named(k)
		f.ServerName = "a.b." + f.ServerName
		return f
	}
	namedPort := func(k int) Facts {
		f := named(k)
		f.Destination = netip.AddrPortFrom(f.Destination.Addr(), uint16(k%(maxPort/2)+1))
		return f
	}
	return []matchShape{
		{"port", shapePort, func(k int) Facts { return Facts{Destination: netip.AddrPortFrom(addr4(1), uint16(k%maxPort+1))} }},
		{"prefix", shapePrefix, func(k int) Facts { return Facts{Destination: netip.AddrPortFrom(inside(k), 80)} }},
		{"port+prefix", shapePortAndPrefix, same},
		{"source", shapeSource, func(k int) Facts { return Facts{Source: netip.AddrPortFrom(inside(k), 80)} }},
		{"source6", shapeSource6, func(k int) Facts { return Facts{Source: netip.AddrPortFrom(network6(k).Next(), 80)} }},
		{"all", shapeAll, same},
		{"name", shapeName, named},
		{"wildcard", shapeWildcard, below},
		{"port+name", shapePortAndName, namedPort},
		{"every", shapeEvery, below},
	}
}

// connections spread evenly, in no order, over the n chains of a shape.
func (s matchShape) connections(n int) []Facts {
	r := rand.New(rand.NewPCG(1, 2))
	list := make([]Facts, 4096)
	for i := range list {
		list[i] = s.facts(r.IntN(n))
	}
	return list
}

func benchmarkMatch(b *testing.B, chains []config.FilterChain, list []Facts) {
	x := mustIndex(b, chains)
	b.ReportAllocs()
	i, found := 0, 0
	for b.Loop() {
		if x.Match(&list[i&4095]) != NoMatch {
			found++
		}
		i++
	}
	if len(chains) > 0 && found < i {
		b.Fatalf("%d of %d connections found their chain", found, i)
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, s := range matchShapes() {
		for _, n := range []int{10, 1000, 10000, 100000} {
			if s.name == "port" {
				n = min(n, maxPort) // there are no more
			}
			b.Run(fmt.Sprintf("%s/chains=%d", s.name, n), func(b *testing.B) {
				benchmarkMatch(b, s.chains(n), s.connections(n))
			})
		}
	}
	b.Run("any/chains=1", func(b *testing.B) {
		benchmarkMatch(b, shape(1, func(int) config.Match { return config.Match{} }), make([]Facts, 4096))
	})
	b.Run("default/chains=0", func(b *testing.B) { benchmarkMatch(b, nil, make([]Facts, 4096)) })
}

// BenchmarkNeeds asks before each inspection.
func BenchmarkNeeds(b *testing.B) {
	for _, s := range matchShapes() {
		b.Run(s.name+"/chains=10000", func(b *testing.B) {
			x, list := mustIndex(b, s.chains(10000)), s.connections(10000)
			for i := range list {
				list[i].ServerName, list[i].TransportProtocol, list[i].ApplicationProtocols = "", "", nil
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				x.Needs(&list[i&4095])
				i++
			}
		})
	}
}

func BenchmarkNewIndex(b *testing.B) {
	const n = 100000
	for _, s := range matchShapes() {
		if s.name == "port" {
			continue // there are no more than 65,535
		}
		b.Run(fmt.Sprintf("%s/chains=%d", s.name, n), func(b *testing.B) {
			chains := s.chains(n)
			b.ReportAllocs()
			var x *Index
			held := heap()
			for b.Loop() {
				x, _ = NewIndex(chains, true)
			}
			b.ReportMetric(float64(heap()-held)/1e6, "MB-held")
			runtime.KeepAlive(x)
			runtime.KeepAlive(chains)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
