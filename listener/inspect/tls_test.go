package inspect

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// summary is all of a Hello that others see.
func summary(h *Hello, v Verdict) string {
	if v.State != Done {
		return fmt.Sprintf("%s %s\n", v.State, v.Reason)
	}
	return fmt.Sprintf("bytes %d\nserver_name %q\nprotocols %q\nversion %04x\nja3_text %s\nja3 %s\nja4 %s\n", v.Bytes,
		h.ServerName, slices.Collect(h.Protocols.All()), h.Version, h.appendJA3Text(nil), h.AppendJA3(nil), h.AppendJA4(nil))
}

// TestCaptured reads what real clients sent; testdata/hello/README.md tells how
// it was taken. crypto/tls must agree.
func TestCaptured(t *testing.T) {
	for file, stream := range captured(t) {
		t.Run(file, func(t *testing.T) {
			var h Hello
			v := feed(t, stream, limit, func(b []byte) Verdict { return h.Parse(b, limit) })
			got := summary(&h, v)
			golden := strings.TrimSuffix(file, ".hex") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("got\n%swant %v\n%s", got, err, want)
			}
			agree(t, &h, oracle(stream))
		})
	}
}

type helloCase struct {
	name   string
	stream []byte
	state  State
	reason Reason
	server string
}

func TestHello(t *testing.T) {
	a := named("a.example")
	hello := func(change func(*helloSpec), extensions ...extension) []byte {
		spec := typical(extensions...)
		if change != nil {
			change(&spec)
		}
		return spec.stream()
	}
	text := func(s string) []byte { return []byte(s) }
	record := func(head string, message []byte) []byte { return append(text(head), message...) }
	whole := hello(nil, a)
	half := bytes.Replace(hello(nil), text("\x00\x04\x13\x01\xc0\x2b\x01\x00"), text("\x00\x03\x13\x01\xc0\x02\x00\x00"), 1)
	cases := []helloCase{
		{"nothing", nil, More, "", ""},
		{"plain", whole, Done, "", "a.example"},
		{"no extensions", hello(nil), Done, "", ""},
		{"empty extensions", hello(func(s *helloSpec) { s.extensions = []extension{} }), Done, "", ""},
		{"early data behind", append(slices.Clone(whole), "\x17\x03\x03\x00\x01x"...), Done, "", "a.example"},
		{"another message behind, in the record", records(append(typical(a).message(), 11, 0, 0, 0), maxRecord), Done, "", "a.example"},
		{"session of 32", hello(func(s *helloSpec) { s.session = make([]byte, 32) }, a), Done, "", "a.example"},

		{"HTTP", text("GET / HTTP/1.1\r\n"), Foreign, "", ""},
		{"one byte of MySQL", text("\x4a"), Foreign, "", ""},
		{"SSH", text("SSH-2.0-OpenSSH"), Foreign, "", ""},
		{"an alert", text("\x15\x03\x01\x00\x02\x01\x00"), Foreign, "", ""},
		{"major version 2", text("\x16\x02\x01\x00\x10"), Foreign, "", ""},
		{"SSL 2", text("\x80\x2e\x01\x03\x01"), Foreign, "", ""},

		{"empty record", text("\x16\x03\x01\x00\x00"), Malformed, BadRecord, ""},
		{"record too long", text("\x16\x03\x01\x40\x01"), Malformed, BadRecord, ""},
		{"longest record", text("\x16\x03\x01\x40\x00"), More, "", ""},
		{"application data within", record("\x16\x03\x01\x00\x02\x01\x00", text("\x17\x03\x03\x00\x01x")), Malformed, BadRecord, ""},
		{"empty record within", record("\x16\x03\x01\x00\x02\x01\x00", text("\x16\x03\x03\x00\x00")), Malformed, BadRecord, ""},
		{"another version within", record("\x16\x03\x01\x00\x02\x01\x00", text("\x16\x02")), Malformed, BadRecord, ""},
		{"ServerHello", text("\x16\x03\x01\x00\x04\x02\x00\x00\x00"), Malformed, NoClientHello, ""},
		{"empty message", text("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), Malformed, BadHello, ""},
		{"message of 16 MiB", text("\x16\x03\x01\x40\x00\x01\xff\xff\xff"), Malformed, TooLarge, ""},

		{"SSL 3", hello(func(s *helloSpec) { s.version = 0x0300 }, a), Malformed, OldVersion, ""},
		{"session of 33", hello(func(s *helloSpec) { s.session = make([]byte, 33) }, a), Malformed, BadFields, ""},
		{"no cipher", hello(func(s *helloSpec) { s.ciphers = nil }, a), Malformed, BadFields, ""},
		{"half a cipher", half, Malformed, BadFields, ""},
		{"no compression", hello(func(s *helloSpec) { s.compressions = nil }, a), Malformed, BadCompression, ""},
		{"compression only", hello(func(s *helloSpec) { s.compressions = []byte{1} }, a), Malformed, BadCompression, ""},
		{"trailing byte", hello(func(s *helloSpec) { s.trailing = []byte{0} }, a), Malformed, BadHello, ""},
		{"extensions longer than the message", hello(func(s *helloSpec) { s.lie = 1 }, a), Malformed, BadHello, ""},
		{"extensions shorter than they are", hello(func(s *helloSpec) { s.lie = -1 }, a), Malformed, BadHello, ""},
		{"two server names", hello(nil, a, named("b.example")), Malformed, SameExtension, ""},
		{"two of a high type", hello(nil, extension{0xff01, nil}, a, extension{0xff01, nil}), Malformed, SameExtension, ""},
		{"many extensions", hello(nil, many(3000, a)...), Done, "", "a.example"},
		{"two of many", hello(nil, many(3000, a, extension{0xfff0, nil}, extension{0xfff0, nil})...), Malformed, SameExtension, ""},
	}
	cases = append(cases, nameCases()...)
	cases = append(cases, protocolCases()...)
	var h Hello
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := feed(t, c.stream, limit, func(b []byte) Verdict { return h.Parse(b, limit) })
			if v.State != c.state || v.Reason != c.reason {
				t.Fatalf("%+v, want %s %q", v, c.state, c.reason)
			}
			if v.State == Done && string(h.ServerName) != c.server {
				t.Errorf("server name %q, want %q", h.ServerName, c.server)
			}
		})
	}
}

// many are n extensions of different types before others.
func many(n int, others ...extension) []extension {
	var all []extension
	for i := range n {
		all = append(all, extension{uint16(1000 + i), nil})
	}
	return append(all, others...)
}

func nameCases() []helloCase {
	hello := func(body string) []byte { return typical(extension{extServerName, []byte(body)}).stream() }
	name := func(s string) []byte { return typical(named(s)).stream() }
	long := strings.Repeat("n", 255)
	return []helloCase{
		{"capitals stay", name("A.Example"), Done, "", "A.Example"},
		{"dot at the end stays", name("a.example."), Done, "", "a.example."},
		{"not UTF-8", name("a\xff\xfe"), Done, "", "a\xff\xfe"},
		{"255 bytes", name(long), Done, "", long},
		{"256 bytes", name(long + "n"), Malformed, BadServerName, ""},
		{"empty name", name(""), Malformed, BadServerName, ""},
		{"NUL", name("a.example\x00.evil.example"), Malformed, BadServerName, ""},
		{"empty extension", hello(""), Malformed, BadServerName, ""},
		{"empty list", hello("\x00\x00"), Malformed, BadServerName, ""},
		{"another type", hello("\x00\x04\x01\x00\x01a"), Malformed, BadServerName, ""},
		{"two names", hello("\x00\x08\x00\x00\x01a\x00\x00\x01b"), Malformed, BadServerName, ""},
		{"list longer than the extension", hello("\x00\x05\x00\x00\x01a"), Malformed, BadServerName, ""},
		{"list shorter than the extension", hello("\x00\x04\x00\x00\x01ab"), Malformed, BadServerName, ""},
		{"name longer than the list", hello("\x00\x04\x00\x00\x02a"), Malformed, BadServerName, ""},
		{"name shorter than the list", hello("\x00\x05\x00\x00\x01ab"), Malformed, BadServerName, ""},
	}
}

func protocolCases() []helloCase {
	hello := func(body string) []byte { return typical(extension{extALPN, []byte(body)}).stream() }
	versions := func(body string) []byte { return typical(extension{extVersions, []byte(body)}).stream() }
	names := func(n int) []byte { return typical(offering(slices.Repeat([]string{"h2"}, n)...)).stream() }
	return []helloCase{
		{"64 protocols", names(64), Done, "", ""},
		{"65 protocols", names(65), Malformed, BadProtocols, ""},
		{"no protocols", hello("\x00\x00"), Malformed, BadProtocols, ""},
		{"empty ALPN", hello(""), Malformed, BadProtocols, ""},
		{"empty protocol", hello("\x00\x04\x02h2\x00"), Malformed, BadProtocols, ""},
		{"protocol longer than the list", hello("\x00\x03\x03h2"), Malformed, BadProtocols, ""},
		{"list longer than ALPN", hello("\x00\x04\x02h2"), Malformed, BadProtocols, ""},
		{"trailing byte in ALPN", hello("\x00\x03\x02h2x"), Malformed, BadProtocols, ""},
		{"no versions", versions("\x00"), Malformed, BadVersions, ""},
		{"half a version", versions("\x03\x03\x04\x03"), Malformed, BadVersions, ""},
		{"trailing byte in versions", versions("\x02\x03\x04x"), Malformed, BadVersions, ""},
	}
}

// TestRecords puts one ClientHello into records of all sizes.
func TestRecords(t *testing.T) {
	spec := typical(named("a.example"), offering("istio", "h2"))
	var h Hello
	for size := range len(spec.message()) {
		stream := records(spec.message(), size+1)
		v := feed(t, stream, limit, func(b []byte) Verdict { return h.Parse(b, limit) })
		if v.State != Done || v.Bytes != len(stream) || string(h.ServerName) != "a.example" || string(h.Protocols) != "\x05istio\x02h2" {
			t.Fatalf("records of %d: %+v %q %q", size+1, v, h.ServerName, h.Protocols)
		}
	}
}

// TestPostQuantum reads a ClientHello that no packet holds.
func TestPostQuantum(t *testing.T) {
	stream := helloOf(&tls.Config{ServerName: "pq.example", NextProtos: []string{"h2"}, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519}})
	if len(stream) < 1400 {
		t.Fatalf("%d bytes are not post-quantum", len(stream))
	}
	var h Hello
	v := feed(t, stream, limit, func(b []byte) Verdict { return h.Parse(b, limit) })
	if v.State != Done || string(h.ServerName) != "pq.example" || h.Version != tls.VersionTLS13 {
		t.Errorf("%+v %q %x", v, h.ServerName, h.Version)
	}
}

// TestHelloLimit has a ClientHello at the limit and one over it, which is known
// as soon as its length is.
func TestHelloLimit(t *testing.T) {
	stream := records(typical(named("a.example"), extension{21, make([]byte, 40000)}).message(), 10000)
	var h Hello
	if v := h.Parse(stream, len(stream)); v.State != Done || v.Bytes != len(stream) {
		t.Errorf("at the limit: %+v", v)
	}
	if v := h.Parse(stream, len(stream)-1); v.Reason != TooLarge {
		t.Errorf("over the limit: %+v", v)
	}
	if v := h.Parse(stream[:9], len(resized(stream))+recordHeader-1); v.Reason != TooLarge {
		t.Errorf("one byte over the limit, by its length: %+v", v)
	}
	if v := h.Parse(stream[:9], 40000); v.Reason != TooLarge {
		t.Errorf("over the limit, by its length: %+v", v)
	}
	small := typical(named("a.example")).stream()
	for limit := range len(small) + 2 {
		v := feed(t, small, limit, func(b []byte) Verdict { return h.Parse(b, limit) })
		if want := limit >= len(small); (v.State == Done) != want || !want && v.Reason != TooLarge {
			t.Fatalf("limit %d of %d: %+v", limit, len(small), v)
		}
	}
}

type fingerprintCase struct {
	name     string
	spec     helloSpec
	ja3, ja4 string
}

// TestFingerprints has the examples of JA3's and JA4's own pages.
func TestFingerprints(t *testing.T) {
	chromium := typical(extension{0x3a3a, nil}, named("a.example"), offering("h2", "http/1.1"),
		extension{extVersions, []byte("\x06\x1a\x1a\x03\x04\x03\x03")},
		extension{extSignatures, list(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)})
	chromium.ciphers = []uint16{0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x9c, 0x9d, 0x2f, 0x35}
	for _, kind := range []uint16{0xff01, 0x4469, 0x33, 0x2d, 0x23, 0x1b, 0x17, 0x15, 0x12, 0x0b, 0x0a, 0x05} {
		chromium.extensions = append(chromium.extensions, extension{kind, nil})
	}
	old := helloSpec{version: 0x0301, compressions: []byte{0},
		ciphers:    []uint16{47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4},
		extensions: []extension{named("a.example"), {extGroups, list(0x4a4a, 23, 24, 25)}, {extPointFormats, []byte{1, 0}}}}
	bare := helloSpec{version: 0x0301, ciphers: []uint16{4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99}, compressions: []byte{0}}
	cases := []fingerprintCase{
		{"JA4's example", chromium, "", "t13d1516h2_8daaf6152771_e5627efa2ab1"},
		{"JA3's first example", old, "ada70206e40642a3e4461f35503241d5", ""},
		{"JA3's second example", bare, "de350869b8c85de67a350c8d186f11e6", "t10i110000_"},
		{"a protocol of one letter", typical(offering("h")), "", "t12i0201hh_"},
		{"a protocol that is no text", typical(offering("\xab\xcd")), "", "t12i0201ad_"},
		{"only GREASE", helloSpec{version: 0x0303, ciphers: []uint16{0x0a0a}, compressions: []byte{0}}, "", "t12i000000_000000000000_000000000000"},
		{"very many", typical(many(200)...), "", "t12i029900_"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var h Hello
			if v := h.Parse(c.spec.stream(), limit); v.State != Done {
				t.Fatalf("%+v", v)
			}
			if ja3 := string(h.AppendJA3(nil)); c.ja3 != "" && ja3 != c.ja3 {
				t.Errorf("JA3 %s of %s, want %s", ja3, h.appendJA3Text(nil), c.ja3)
			}
			if ja4 := string(h.AppendJA4(nil)); !strings.HasPrefix(ja4, c.ja4) {
				t.Errorf("JA4 %s, want %s", ja4, c.ja4)
			}
		})
	}
}

func TestGrease(t *testing.T) {
	n := 0
	for v := range 1 << 16 {
		if grease(uint16(v)) {
			n++
		}
	}
	if n != 16 || !grease(0x0a0a) || !grease(0xfafa) || grease(0x0a1a) {
		t.Errorf("%d values are GREASE, RFC 8701 has 16", n)
	}
}

func FuzzHello(f *testing.F) {
	for _, stream := range captured(f) {
		f.Add(stream, uint16(100), uint16(20000))
	}
	f.Add(typical(named("a.example"), offering("h2")).stream(), uint16(1), uint16(90))
	f.Fuzz(func(t *testing.T, stream []byte, size, limit uint16) {
		if len(stream) > 8<<10 {
			stream = stream[:8<<10]
		}
		var h, piecewise Hello
		var seen Records
		v := feed(t, stream, int(limit), func(b []byte) Verdict {
			v := h.Parse(b, int(limit))
			if on := piecewise.ParseOn(b, int(limit), &seen); on != v || !bytes.Equal(piecewise.ServerName, h.ServerName) {
				t.Fatalf("%d bytes: at once %+v, byte by byte %+v", len(b), v, on)
			}
			return v
		})
		if v.State != Done {
			if h.Parse(stream, len(stream)).State == Done && int(limit) >= len(stream) {
				t.Error("another limit, another answer")
			}
			if info := oracle(stream); v.State != More && info != nil && !stricter(stream, v, info) {
				t.Errorf("%+v, crypto/tls accepts it", v)
			}
			return
		}
		h.AppendJA4(h.AppendJA3(nil))
		name, protocols := bytes.Clone(h.ServerName), bytes.Clone(h.Protocols)
		if info := oracle(stream); info != nil {
			agree(t, &h, info)
		}
		var again Hello
		split := records(resized(stream[:v.Bytes]), int(size%maxRecord)+1)
		if v := again.Parse(split, len(split)); v.State != Done || !bytes.Equal(again.ServerName, name) || !bytes.Equal(again.Protocols, protocols) {
			t.Errorf("in records of %d: %+v %q %q, want %q %q", size%maxRecord+1, v, again.ServerName, again.Protocols, name, protocols)
		}
	})
}

// stricter tells whether this parser refuses on purpose what crypto/tls reads:
// the package follows BoringSSL, and allows no warnings before a ClientHello.
func stricter(stream []byte, v Verdict, info *tls.ClientHelloInfo) bool {
	if v.State == Foreign {
		return stream[0] != typeHandshake || stream[1] != majorVersion
	}
	switch v.Reason {
	case TooLarge, BadRecord, BadFields, OldVersion, BadCompression, BadServerName:
		return true
	case BadProtocols:
		return len(info.SupportedProtos) > MaxProtocols
	}
	return false
}

// resized is the message in a stream, without its records.
func resized(stream []byte) []byte {
	var message []byte
	for len(stream) > recordHeader {
		n := int(stream[3])<<8 | int(stream[4])
		stream = stream[recordHeader:]
		n = min(n, len(stream))
		message, stream = append(message, stream[:n]...), stream[n:]
	}
	return message
}

// FuzzClient has crypto/tls make a ClientHello by a random configuration and
// read it too.
func FuzzClient(f *testing.F) {
	f.Add("a.example", "h2,http/1.1", uint8(3), uint8(0), uint16(50))
	f.Add("", "", uint8(0), uint8(1), uint16(16000))
	f.Add("xn--bcher-kva.example.", "istio", uint8(2), uint8(2), uint16(1))
	f.Fuzz(func(t *testing.T, name, protocols string, version, groups uint8, size uint16) {
		config := &tls.Config{
			ServerName:         name,
			InsecureSkipVerify: name == "",
			MaxVersion:         tls.VersionTLS10 + uint16(version%4),
			MinVersion:         tls.VersionTLS10,
		}
		if protocols != "" {
			config.NextProtos = strings.Split(protocols, ",")
		}
		switch groups % 3 {
		case 1:
			config.CurvePreferences = []tls.CurveID{tls.CurveP256}
		case 2:
			config.CurvePreferences = []tls.CurveID{tls.X25519}
		}
		stream := helloOf(config)
		info := oracle(stream)
		if info == nil {
			return // a configuration that crypto/tls does not send, or not read
		}
		strict := len(info.SupportedProtos) > MaxProtocols || len(info.ServerName) > maxServerName || strings.Contains(info.ServerName, "\x00")
		for _, stream := range [][]byte{stream, records(resized(stream), int(size%maxRecord)+1)} {
			var h Hello
			v := h.Parse(stream, 1<<20)
			if strict && v.State == Malformed {
				continue
			}
			if v.State != Done || v.Bytes != len(stream) {
				t.Fatalf("%+v of %d: %x", v, len(stream), stream)
			}
			agree(t, &h, info)
		}
	})
}
