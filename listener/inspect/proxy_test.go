package inspect

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"os"
	"strings"
	"testing"
)

type proxyCase struct {
	name   string
	header string
	state  State
	reason Reason
	source string // "" with LOCAL and UNKNOWN
	target string
}

// tcp4 is a v2 header for 1.2.3.4:773 to 0.1.1.2:2 with TLVs.
func tcp4(tlvs string) string {
	return v2("\x21\x11", "\x01\x02\x03\x04\x00\x01\x01\x02\x03\x05\x00\x02"+tlvs)
}

func v2(kind, body string) string {
	return proxySignature2 + kind + string(binary.BigEndian.AppendUint16(nil, uint16(len(body)))) + body
}

// sealed is tcp4 with a right checksum before the other TLVs.
func sealed(tlvs string) []byte {
	b := []byte(tcp4("\x03\x00\x04\x00\x00\x00\x00" + tlvs))
	at := headerV2 + addresses4 + 3
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func TestProxy(t *testing.T) {
	cases := []proxyCase{
		{"nothing", "", More, "", "", ""},
		{"TLS", "\x16\x03", Foreign, "", "", ""},
		{"HTTP", "PUT /", Foreign, "", "", ""},
		{"line end first", "\r\nGET", Foreign, "", "", ""},
		{"both signatures", "\r\n\r\n\x00\r\nQUIX", Foreign, "", "", ""},
	}
	cases = append(cases, lineCases()...)
	cases = append(cases, binaryCases()...)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var p ProxyHeader
			stream := c.header
			if c.state == Done {
				stream += "more data"
			}
			v := feed(t, []byte(stream), limit, func(b []byte) Verdict { return p.Parse(b, limit) })
			if v.State != c.state || v.Reason != c.reason {
				t.Fatalf("%+v, want %s %q", v, c.state, c.reason)
			}
			if v.State != Done {
				if p.Source.IsValid() || p.Destination.IsValid() || len(p.TLVs) > 0 {
					t.Errorf("something is left of it: %+v", p)
				}
				return
			}
			if v.Bytes != len(c.header) {
				t.Errorf("took %d of %d", v.Bytes, len(c.header))
			}
			source, target := "", ""
			if !p.Local {
				source, target = p.Source.String(), p.Destination.String()
			}
			if source != c.source || target != c.target {
				t.Errorf("%s to %s, want %s to %s", source, target, c.source, c.target)
			}
		})
	}
}

func lineCases() []proxyCase {
	bad := func(name, header string, reason Reason) proxyCase {
		return proxyCase{name, header, Malformed, reason, "", ""}
	}
	unknown := "PROXY UNKNOWN " + strings.Repeat("f", 91)
	return []proxyCase{
		{"v1", "PROXY TCP4 1.2.3.4 5.6.7.8 0 65535\r\n", Done, "", "1.2.3.4:0", "5.6.7.8:65535"},
		{"v1 IPv6", "PROXY TCP6 1:2:3::4 5:6::7:8 65535 1234\r\n", Done, "", "[1:2:3::4]:65535", "[5:6::7:8]:1234"},
		{"v1 mapped", "PROXY TCP6 ::ffff:1.2.3.4 ::ffff:506:708 1 2\r\n", Done, "", "1.2.3.4:1", "5.6.7.8:2"},
		{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", Done, "", "", ""},
		{"v1 UNKNOWN with addresses", "PROXY UNKNOWN 1.2.3.4 5.6.7.8 1 2\r\n", Done, "", "", ""},
		{"v1 of 107 bytes", unknown + "\r\n", Done, "", "", ""},
		bad("v1 of 108 bytes", unknown+"f\r\n", LongLine),
		{"v1 without end", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2", More, "", "", ""},
		{"v1 with CR", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r", More, "", "", ""},
		{"v1 signature", "PROX", More, "", "", ""},
		bad("v1 bare LF", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", BadLine),
		bad("v1 bare CR", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rGET", BadLine),
		bad("v1 without space", "PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n", BadLine),
		bad("v1 two spaces", "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", BadLine),
		bad("v1 two spaces within", "PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", BadLine),
		bad("v1 space at the end", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", BadLine),
		bad("v1 one field more", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", BadLine),
		bad("v1 one field less", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", BadLine),
		bad("v1 alone", "PROXY\r\n", BadLine),
		bad("v1 another family", "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", BadLine),
		bad("v1 more than UNKNOWN", "PROXY UNKNOWNS\r\n", BadLine),
		bad("v1 IPv6 as TCP4", "PROXY TCP4 1::2 1::3 1 2\r\n", BadAddress),
		bad("v1 IPv4 as TCP6", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", BadAddress),
		bad("v1 leading zero", "PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", BadAddress),
		bad("v1 zone", "PROXY TCP6 fe80::1%eth0 5:6::7:8 1 2\r\n", BadAddress),
		bad("v1 NUL", "PROXY TCP4 1.2.3.4\x00 5.6.7.8 1 2\r\n", BadAddress),
		bad("v1 multicast", "PROXY TCP4 1.2.3.4 224.0.0.1 1 2\r\n", BadAddress),
		bad("v1 mapped multicast", "PROXY TCP6 ::ffff:224.0.0.1 ::1 1 2\r\n", BadAddress),
		bad("v1 IPv6 multicast", "PROXY TCP6 ::1 ff02::1 1 2\r\n", BadAddress),
		bad("v1 unspecified", "PROXY TCP4 0.0.0.0 5.6.7.8 1 2\r\n", BadAddress),
		bad("v1 broadcast", "PROXY TCP4 1.2.3.4 255.255.255.255 1 2\r\n", BadAddress),
		bad("v1 port over", "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", BadPort),
		bad("v1 port with zero", "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", BadPort),
		bad("v1 port with sign", "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", BadPort),
	}
}

func binaryCases() []proxyCase {
	bad := func(name, header string, reason Reason) proxyCase {
		return proxyCase{name, header, Malformed, reason, "", ""}
	}
	six := func(source, destination string) string {
		s, d := netip.MustParseAddr(source).As16(), netip.MustParseAddr(destination).As16()
		return string(s[:]) + string(d[:]) + "\x00\x01\x00\x02"
	}
	good := sealed("\x02\x00\x01a")
	wrong := string(good[:len(good)-1]) + "b"
	return []proxyCase{
		{"v2", tcp4(""), Done, "", "1.2.3.4:773", "0.1.1.2:2"},
		{"v2 datagram", v2("\x21\x12", tcp4("")[16:]), Done, "", "1.2.3.4:773", "0.1.1.2:2"},
		{"v2 IPv6", v2("\x21\x21", six("1::2", "3::4")), Done, "", "[1::2]:1", "[3::4]:2"},
		{"v2 mapped", v2("\x21\x21", six("::ffff:10.0.0.1", "3::4")), Done, "", "10.0.0.1:1", "[3::4]:2"},
		{"v2 LOCAL", v2("\x20\x00", ""), Done, "", "", ""},
		{"v2 LOCAL with garbage", v2("\x20\xff", "garbage"), Done, "", "", ""},
		{"v2 TLVs", tcp4("\x00\x00\x01\xff\x02\x00\x01a\xea\x00\x00"), Done, "", "1.2.3.4:773", "0.1.1.2:2"},
		{"v2 checksum", string(good), Done, "", "1.2.3.4:773", "0.1.1.2:2"},
		{"v2 longest", tcp4("\x04\xff\xf0" + strings.Repeat("x", 0xfff0)), Malformed, TooLarge, "", ""},
		{"v2 unique id of 128", tcp4("\x05\x00\x80" + strings.Repeat("x", 128)), Done, "", "1.2.3.4:773", "0.1.1.2:2"},
		{"v2 signature", proxySignature2, More, "", "", ""},
		{"v2 without its end", tcp4("\x00\x00\x01\xff")[:30], More, "", "", ""},
		bad("v2 version 1", proxySignature2+"\x11", BadVersion),
		bad("v2 version 1, whole", v2("\x11\x11", tcp4("")[16:]), BadVersion),
		bad("v2 command", v2("\x22\x11", tcp4("")[16:]), BadCommand),
		bad("v2 UNSPEC", v2("\x21\x00", ""), BadFamily),
		bad("v2 unix", v2("\x21\x31", strings.Repeat("a", 216)), BadFamily),
		bad("v2 no transport", v2("\x21\x10", tcp4("")[16:]), BadFamily),
		bad("v2 another transport", v2("\x21\x13", tcp4("")[16:]), BadFamily),
		bad("v2 short", v2("\x21\x11", "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00"), ShortAddresses),
		bad("v2 IPv6 short", v2("\x21\x21", tcp4("")[16:]), ShortAddresses),
		bad("v2 unspecified", v2("\x21\x11", strings.Repeat("\x00", 12)), BadAddress),
		bad("v2 mapped multicast", v2("\x21\x21", six("::ffff:224.0.0.1", "3::4")), BadAddress),
		bad("v2 byte behind", tcp4("\x00"), BadTLV),
		bad("v2 two bytes behind", tcp4("\x00\x00"), BadTLV),
		bad("v2 TLV over the end", tcp4("\x02\x00\x02a"), BadTLV),
		bad("v2 unique id of 129", tcp4("\x05\x00\x81"+strings.Repeat("x", 129)), BadTLV),
		bad("v2 checksum of 3 bytes", tcp4("\x03\x00\x03abc"), BadTLV),
		bad("v2 two checksums", string(sealed("\x03\x00\x04\x00\x00\x00\x00")), BadTLV),
		bad("v2 wrong checksum", wrong, BadChecksum),
	}
}

// TestHAProxy reads what HAProxy sent; testdata/proxy/README.md tells how it
// was taken. Its checksum is none of our making.
func TestHAProxy(t *testing.T) {
	for file, size := range map[string]int{"haproxy-2.6-v1": 44, "haproxy-2.6-v2": 50} {
		text, err := os.ReadFile("testdata/proxy/" + file + ".hex")
		if err != nil {
			t.Fatal(err)
		}
		stream := unhex(t, string(text))
		var p ProxyHeader
		v := feed(t, stream, limit, func(b []byte) Verdict { return p.Parse(b, limit) })
		if v.State != Done || string(stream[v.Bytes:]) != "hello\n" || v.Bytes != size || p.Source.Addr().String() != "127.0.0.1" {
			t.Errorf("%s: %+v %+v, behind it %q", file, v, p, stream[v.Bytes:])
		}
		if id, ok := p.TLVs.Get(UniqueID); p.Version == 2 && string(id) != "connection-7" {
			t.Errorf("%s: unique id %q %v", file, id, ok)
		}
		stream[v.Bytes-1] ^= 1
		if v := p.Parse(stream, limit); v.State != Malformed || p.Version == 2 && v.Reason != BadChecksum {
			t.Errorf("%s, one bit changed: %+v", file, v)
		}
	}
}

// TestProxyVersion is known before anything else is, however bad that is.
func TestProxyVersion(t *testing.T) {
	for text, want := range map[string]uint8{"PROX": 0, "PROXY": 1, "PROXYx\r\n": 1, proxySignature2[:11]: 0, proxySignature2: 2, proxySignature2 + "\x99": 2, "GET": 0} {
		var p ProxyHeader
		if p.Parse([]byte(text), limit); p.Version != want {
			t.Errorf("%q: version %d, want %d", text, p.Version, want)
		}
	}
}

func TestTLVs(t *testing.T) {
	var p ProxyHeader
	if v := p.Parse([]byte(tcp4("\x02\x00\x03a\xffb\x05\x00\x00\xea\x00\x01x\x02\x00\x01c")), limit); v.State != Done {
		t.Fatal(v)
	}
	for kind, want := range map[uint8]string{Authority: "a\xffb", UniqueID: "", 0xea: "x"} {
		if value, ok := p.TLVs.Get(kind); !ok || string(value) != want {
			t.Errorf("%#x: %q %v, want %q", kind, value, ok, want)
		}
	}
	if value, ok := p.TLVs.Get(1); ok {
		t.Errorf("ALPN %q, which was not there", value)
	}
}

type appendCase struct{ source, destination, line string }

func TestAppend(t *testing.T) {
	longest := "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"
	for _, c := range []appendCase{
		{"1.2.3.4:5", "6.7.8.9:10", "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"},
		{"[::ffff:1.2.3.4]:5", "6.7.8.9:10", "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"},
		{"[fe80::1%eth0]:5", "[fd00::2]:65535", "PROXY TCP6 fe80::1 fd00::2 5 65535\r\n"},
		{"1.2.3.4:5", "[fd00::2]:10", "PROXY TCP6 ::ffff:1.2.3.4 fd00::2 5 10\r\n"},
		{longest, longest, "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"},
	} {
		source, destination := netip.MustParseAddrPort(c.source), netip.MustParseAddrPort(c.destination)
		if line := string(AppendV1([]byte("x"), source, destination)); line != "x"+c.line {
			t.Errorf("%q, want %q", line, c.line)
		}
	}
	none := netip.AddrPort{}
	if line := string(AppendV1(nil, none, netip.MustParseAddrPort("1.2.3.4:5"))); line != "PROXY UNKNOWN\r\n" {
		t.Errorf("%q", line)
	}
	if header := string(AppendV2(nil, netip.MustParseAddrPort("1.2.3.4:773"), netip.MustParseAddrPort("0.1.1.2:2"))); header != tcp4("") {
		t.Errorf("%x", header)
	}
	if header := string(AppendV2(nil, netip.MustParseAddrPort("1.2.3.4:5"), none)); header != v2("\x20\x00", "") {
		t.Errorf("%x", header)
	}
}

// FuzzAppend reads what is written.
func FuzzAppend(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4}, []byte{5, 6, 7, 8}, uint16(1), uint16(2))
	f.Add([]byte{1, 2, 3, 4}, []byte("0123456789abcdef"), uint16(0), uint16(65535))
	f.Fuzz(func(t *testing.T, a, b []byte, sourcePort, destinationPort uint16) {
		s, _ := netip.AddrFromSlice(a)
		d, _ := netip.AddrFromSlice(b)
		source, destination := netip.AddrPortFrom(s, sourcePort), netip.AddrPortFrom(d, destinationPort)
		known := endpoint(s.Unmap()) && endpoint(d.Unmap())
		for _, header := range [][]byte{AppendV1(nil, source, destination), AppendV2(nil, source, destination)} {
			var p ProxyHeader
			v := feed(t, header, limit, func(b []byte) Verdict { return p.Parse(b, limit) })
			switch {
			case !s.IsValid() || !d.IsValid():
				if v.State != Done || !p.Local {
					t.Errorf("%q: %+v %+v", header, v, p)
				}
			case !known:
				if v.Reason != BadAddress {
					t.Errorf("%q: %+v %+v", header, v, p)
				}
			case v.State != Done || v.Bytes != len(header) || p.Source != netip.AddrPortFrom(s.Unmap(), sourcePort) ||
				p.Destination != netip.AddrPortFrom(d.Unmap(), destinationPort):
				t.Errorf("%q: %+v %+v", header, v, p)
			}
		}
	})
}

// FuzzAddress compares with the parser of net/netip.
func FuzzAddress(f *testing.F) {
	for _, text := range []string{"1.2.3.4", "::", "1::", "::1.2.3.4", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4", "::ffff:0:0", "1::2::3", "1:2:3:4:5:6:7::", "fe80::1%a", "00001::", "1.2.3.04"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := netip.ParseAddr(text)
		if err != nil || want.Zone() != "" {
			want = netip.Addr{}
		}
		four, six := address4([]byte(text)), address6([]byte(text))
		if got := map[bool]netip.Addr{true: four, false: six}[want.Is4()]; got != want || four.IsValid() && six.IsValid() || !want.IsValid() && four.IsValid() {
			t.Errorf("%q: %v and %v, net/netip says %v", text, four, six, want)
		}
	})
}

func FuzzProxy(f *testing.F) {
	for _, c := range append(lineCases(), binaryCases()...) {
		if len(c.header) < 1000 {
			f.Add([]byte(c.header), uint16(200))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, limit uint16) {
		if len(stream) > 4<<10 {
			stream = stream[:4<<10]
		}
		var p ProxyHeader
		v := feed(t, stream, int(limit), func(b []byte) Verdict { return p.Parse(b, int(limit)) })
		switch {
		case v.State != Done && (p.Source.IsValid() || p.Destination.IsValid() || p.TLVs != nil):
			t.Errorf("%+v leaves %+v", v, p)
		case v.State == Done && p.Local == (endpoint(p.Source.Addr()) && endpoint(p.Destination.Addr())):
			t.Errorf("%+v of %q", p, stream)
		case v.State == Done && (p.Source.Addr().Is4In6() || p.Destination.Addr().Is4In6()):
			t.Errorf("%+v of %q has IPv4 in IPv6 form", p, stream)
		}
		size := 0
		for _, value := range p.TLVs.All() {
			size += 3 + len(value)
		}
		if size != len(p.TLVs) {
			t.Errorf("TLVs of %d bytes fill %d", len(p.TLVs), size)
		}
	})
}
