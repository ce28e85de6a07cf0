package listener

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/stats"
)

// filtered is a listener with all filters, whose one chain takes TLS.
func filtered(t *testing.T, change func(*config.Listener)) *Listener {
	t.Helper()
	cfg := config.DefaultListener()
	cfg.Name, cfg.Address = "filtered", netip.MustParseAddrPort("127.0.0.1:1")
	cfg.ListenerFilters = config.ListenerFilters()
	cfg.ProxyProtocol.AllowRequestsWithoutProxyProtocol = true
	cfg.FilterChains = []config.FilterChain{chain("tls", config.Match{TransportProtocol: config.TransportTLS})}
	change(&cfg)
	table, problems := NewTable([]config.Listener{cfg}, stats.NewRegistry())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return table.Listeners()[0]
}

// curlHello is the first flight of curl 7.88; its fingerprints are in the golden
// file beside it.
func curlHello(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("inspect/testdata/hello/curl-7.88.hex")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(stream)
}

// proxyHeader is a PROXY v2 header with a command and TLVs.
func proxyHeader(command byte, tlvs string) string {
	size := binary.BigEndian.AppendUint16(nil, uint16(12+len(tlvs)))
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{0x20 | command, 0x11}) + string(size) +
		"\x0a\x04\x00\x09\x0a\x04\x00\x05\x01\x02\x00\x50" + tlvs
}

func tlv(kind byte, value string) string {
	return string([]byte{kind, byte(len(value) >> 8), byte(len(value))}) + value
}

func TestDetails(t *testing.T) {
	const (
		ja3, ja4         = "0149f47eabf9a20d0893e2a44e5a6323", "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"
		local, proxied   = 0, 1
		authority, ident = 0x02, 0x05
	)
	both := func(l *config.Listener) {
		l.TLSInspector.EnableJA3Fingerprinting, l.TLSInspector.EnableJA4Fingerprinting = true, true
	}
	onlyJA4 := func(l *config.Listener) { l.TLSInspector.EnableJA4Fingerprinting = true }
	unasked := func(l *config.Listener) {
		both(l)
		l.FilterChains[0].Match.TransportProtocol = ""
	}
	neither := func(*config.Listener) {}
	long := strings.Repeat("x", 300)
	type detailCase struct {
		name   string
		change func(*config.Listener)
		stream string
		want   *Details
	}
	for _, c := range []detailCase{
		{"nobody wants fingerprints", neither, curlHello(t), nil},
		{"both", both, curlHello(t), &Details{JA3: ja3, JA4: ja4}},
		{"one", onlyJA4, curlHello(t), &Details{JA4: ja4}},
		{"not TLS", both, "GET / HTTP/1.1\r\n", nil},
		{"no chain asks for TLS", unasked, curlHello(t), nil},
		{"behind a header", both, proxyHeader(proxied, "") + curlHello(t), &Details{JA3: ja3, JA4: ja4}},
		{"all", both, proxyHeader(proxied, tlv(ident, "\x00\xff")+tlv(authority, "a.example")) + curlHello(t),
			&Details{JA3: ja3, JA4: ja4, Authority: "a.example", UniqueID: "\x00\xff"}},
		{"the first of two", neither, proxyHeader(proxied, tlv(authority, "a")+tlv(authority, "b")) + "?", &Details{Authority: "a"}},
		{"long", neither, proxyHeader(proxied, tlv(authority, long)) + "?", &Details{Authority: long[:maxAuthority]}},
		{"empty", neither, proxyHeader(proxied, tlv(authority, "")+tlv(ident, "")) + "?", nil},
		{"others", neither, proxyHeader(proxied, tlv(0x01, "h2")+tlv(0xea, "vpc")) + "?", nil},
		{"LOCAL", neither, proxyHeader(local, tlv(authority, "a")) + "?", nil},
		{"v1", neither, "PROXY TCP4 10.4.0.9 10.4.0.5 1 2\r\n?", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := filtered(t, c.change).Inspect(facts("10.4.0.1:1", "10.4.0.5:80"))
			stream := []byte(c.stream)
			if progress := i.Look(stream, false, new(Scratch)); progress != InspectionDone {
				t.Fatalf("progress %d, %s", progress, i.Reason)
			}
			clear(stream) // it belongs to the next connection
			switch {
			case (i.Details == nil) != (c.want == nil):
				t.Errorf("details %+v, want %+v", i.Details, c.want)
			case c.want != nil && *i.Details != *c.want:
				t.Errorf("details %+v, want %+v", *i.Details, *c.want)
			}
		})
	}
}
