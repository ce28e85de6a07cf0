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

// The figures of docs/performance.md come from
//
//	go test ./listener -run '^$' -bench 'Match|NewIndex' -benchmem

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

func shapePort(n int) []config.FilterChain {
	return shape(n, func(i int) config.Match { return config.Match{DestinationPort: uint16(i%65535 + 1)} })
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
		b := [16]byte{0: 0xfd}
		binary.BigEndian.PutUint32(b[2:], uint32(i))
		return config.Match{SourcePrefixRanges: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom16(b), 48)}}
	})
}

// shapeAll uses each criterion.
func shapeAll(n int) []config.FilterChain {
	return shape(n, func(i int) config.Match {
		p := []netip.Prefix{netip.PrefixFrom(addr4(10<<24+uint32(i)), 32)}
		return config.Match{DestinationPort: uint16(i%100 + 1), PrefixRanges: p, DirectSourcePrefixRanges: p,
			SourceType: config.SourceLocal, SourcePrefixRanges: p, SourcePorts: []uint16{1, 2}}
	})
}

// connections that spread over a shape's chains.
func connections(n int) []Facts {
	r := rand.New(rand.NewPCG(1, 2))
	list := make([]Facts, 4096)
	for i := range list {
		k := r.IntN(n)
		a := addr4(10<<24 + uint32(k))
		list[i] = Facts{Destination: netip.AddrPortFrom(a, uint16(k%100+1)), DirectSource: a, Source: netip.AddrPortFrom(a, 1)}
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
	b.ReportMetric(100*float64(found)/float64(i), "%found")
}

func BenchmarkMatch10kByPort(b *testing.B) {
	list := connections(10000)
	for i := range list {
		list[i].Destination = netip.AddrPortFrom(list[i].Destination.Addr(), uint16(rand.IntN(10000)+1))
	}
	benchmarkMatch(b, shapePort(10000), list)
}

func BenchmarkMatch10kByPrefix(b *testing.B) {
	list := connections(10000)
	for i := range list {
		a := addr4(10<<24 + uint32(rand.IntN(1250))<<8 + rand.Uint32N(256))
		list[i].Destination = netip.AddrPortFrom(a, 80)
	}
	benchmarkMatch(b, shapePrefix(10000), list)
}

func BenchmarkMatch10kByPortAndPrefix(b *testing.B) {
	benchmarkMatch(b, shapePortAndPrefix(10000), connections(10000))
}

func BenchmarkMatch10kBySourcePrefix(b *testing.B) {
	list := connections(10000)
	for i := range list {
		list[i].Source = netip.AddrPortFrom(addr4(10<<24+uint32(rand.IntN(1250))<<8+rand.Uint32N(256)), 80)
	}
	benchmarkMatch(b, shapeSource(10000), list)
}

func BenchmarkMatch10kBySourcePrefix6(b *testing.B) {
	list := connections(10000)
	for i := range list {
		a := [16]byte{0: 0xfd, 15: 9}
		binary.BigEndian.PutUint32(a[2:], rand.Uint32N(10000))
		list[i].Source = netip.AddrPortFrom(netip.AddrFrom16(a), 80)
	}
	benchmarkMatch(b, shapeSource6(10000), list)
}

func BenchmarkMatch10kByAll(b *testing.B) {
	benchmarkMatch(b, shapeAll(10000), connections(10000))
}

func BenchmarkMatchOneForAll(b *testing.B) {
	benchmarkMatch(b, shape(1, func(int) config.Match { return config.Match{} }), connections(1))
}

func BenchmarkMatchDefaultOnly(b *testing.B) { benchmarkMatch(b, nil, connections(1)) }

func BenchmarkNewIndex100k(b *testing.B) {
	shapes := []struct {
		name   string
		chains []config.FilterChain
	}{
		{"ByPrefix", shapePrefix(100000)},
		{"ByPortAndPrefix", shapePortAndPrefix(100000)},
		{"ByAll", shapeAll(100000)},
	}
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			var x *Index
			held := heap()
			for b.Loop() {
				x, _ = NewIndex(s.chains, true)
			}
			b.ReportMetric(float64(heap()-held)/1e6, "MB-held")
			runtime.KeepAlive(x)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
