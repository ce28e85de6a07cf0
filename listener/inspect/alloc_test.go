//go:build !race

package inspect

import "testing"

// TestAllocations has what runs for each connection allocate nothing.
func TestAllocations(t *testing.T) {
	var h Hello
	var p ProxyHeader
	dst := make([]byte, 0, 256)
	hello := typical(named("a.example"), offering("h2")).stream()
	parts := records(resized(hello), 20)
	binary := sealed("\x02\x00\x01a")
	line := []byte("PROXY TCP6 1:2:3::4 5:6::7:8 65535 1234\r\n")
	request := []byte("OPTIONS * HTTP/1.1\r\n")
	cases := map[string]func(){
		"TLS":         func() { h.Parse(hello, limit) },
		"TLS records": func() { h.Parse(parts, limit) },
		"JA3":         func() { h.AppendJA3(dst) },
		"JA4":         func() { h.AppendJA4(dst) },
		"HTTP":        func() { HTTP(request, limit) },
		"PROXY v1":    func() { p.Parse(line, limit) },
		"PROXY v2":    func() { p.Parse(binary, limit) },
		"AppendV1":    func() { AppendV1(dst, p.Source, p.Destination) },
		"AppendV2":    func() { AppendV2(dst, p.Source, p.Destination) },
	}
	for name, run := range cases {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
