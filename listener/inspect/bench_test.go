package inspect

import (
	"net/netip"
	"testing"
)

// Run with: go test -run '^$' -bench . ./listener/inspect

// BenchmarkHello reads curl's ClientHello of 517 bytes.
func BenchmarkHello(b *testing.B) {
	stream := captured(b)["testdata/hello/curl-7.88.hex"]
	if len(stream) != 517 {
		b.Fatalf("%d bytes", len(stream))
	}
	var h Hello
	b.ReportAllocs()
	for b.Loop() {
		if v := h.Parse(stream, limit); v.State != Done {
			b.Fatal(v)
		}
	}
}

// BenchmarkHelloRecords has it in records of 100 bytes.
func BenchmarkHelloRecords(b *testing.B) {
	stream := records(resized(captured(b)["testdata/hello/curl-7.88.hex"]), 100)
	var h Hello
	b.ReportAllocs()
	for b.Loop() {
		if v := h.Parse(stream, limit); v.State != Done {
			b.Fatal(v)
		}
	}
}

func BenchmarkFingerprints(b *testing.B) {
	var h Hello
	h.Parse(captured(b)["testdata/hello/curl-7.88.hex"], limit)
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		h.AppendJA4(h.AppendJA3(dst))
	}
}

func BenchmarkHTTP(b *testing.B) {
	stream := []byte("GET /reviews/0?full=1 HTTP/1.1\r\nhost: reviews\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, v := HTTP(stream, limit); v.State != Done {
			b.Fatal(v)
		}
	}
}

func BenchmarkProxy(b *testing.B) {
	source, destination := netip.MustParseAddrPort("[fd00::1]:40000"), netip.MustParseAddrPort("[fd00::2]:443")
	var p ProxyHeader
	for name, stream := range map[string][]byte{"v1": AppendV1(nil, source, destination), "v2": AppendV2(nil, source, destination)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if v := p.Parse(stream, limit); v.State != Done {
					b.Fatal(v)
				}
			}
		})
	}
}
