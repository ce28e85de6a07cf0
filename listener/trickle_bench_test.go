package listener

import (
	"slices"
	"strings"
	"testing"
)

// BenchmarkTrickle is what an inspection costs, peeking left out, when its
// stream comes in as many pieces as it may. Run it with
//
//	go test -run '^$' -bench Trickle ./listener
func BenchmarkTrickle(b *testing.B) {
	const size = 64 << 10
	line := []byte("GET /" + strings.Repeat("a", size-6))
	small := hello()
	large := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0}, make([]byte, size-600)...)
	message := slices.Clone(large)
	message[6], message[7] = 0, 40 // in KiB, so that it fits with its records' headers
	message = inRecords(message[:5+10<<10], 1)
	for at := 0; at < len(large); at += 5 + 1<<14 {
		copy(large[at:], large[:5])
	}
	for _, c := range []struct {
		name   string
		stream []byte
	}{{"ClientHello", small}, {"ClientHello of 64 KiB", large}, {"records of a byte", message}, {"request line of 64 KiB", line}} {
		b.Run(c.name, func(b *testing.B) {
			piece := 1 + len(c.stream)/(maxLooks-1)
			l := looking(b, noHeader, askAll(), nil)
			var scratch Scratch
			b.ReportAllocs()
			for b.Loop() {
				i := l.Inspect(facts(clientAt, serverAt))
				for n := 0; n < len(c.stream); n += piece {
					if i.Look(c.stream[:n], false, &scratch) != InspectionMore {
						b.Fatalf("known after %d bytes: %s", n, i.Reason)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(c.stream)), "ns/byte")
		})
	}
}
