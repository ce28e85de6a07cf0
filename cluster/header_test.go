package cluster

import (
	"net/netip"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

func TestHeader(t *testing.T) {
	type headerCase struct {
		name                string
		version             config.ProxyProtocolVersion
		source, destination string
		traffic, probe      string
	}
	for _, c := range []headerCase{
		{"none", "", "10.4.0.9:40000", "10.4.0.5:80", "", ""},
		{"v1", "v1", "10.4.0.9:40000", "10.4.0.5:80",
			"PROXY TCP4 10.4.0.9 10.4.0.5 40000 80\r\n", "PROXY TCP4 10.4.0.9 10.4.0.5 40000 80\r\n"},
		{"v1, two families", "v1", "10.4.0.9:40000", "[fd00::5]:80",
			"PROXY TCP6 ::ffff:10.4.0.9 fd00::5 40000 80\r\n", "PROXY TCP6 ::ffff:10.4.0.9 fd00::5 40000 80\r\n"},
		{"v1, unknown", "v1", "", "10.4.0.5:80", "PROXY UNKNOWN\r\n", "PROXY UNKNOWN\r\n"},
		{"v2", "v2", "[::ffff:10.4.0.9]:258", "10.4.0.5:80",
			signature + "\x21\x11\x00\x0c\x0a\x04\x00\x09\x0a\x04\x00\x05\x01\x02\x00\x50", signature + "\x20\x00\x00\x00"},
		{"v2, unknown", "v2", "10.4.0.9:40000", "", signature + "\x20\x00\x00\x00", signature + "\x20\x00\x00\x00"},
	} {
		cl := with(t, func(cfg *config.Cluster) { cfg.ProxyProtocol = c.version })
		source, destination := address(t, c.source), address(t, c.destination)
		if got := string(cl.AppendHeader(nil, source, destination)); got != c.traffic {
			t.Errorf("%s: %q, want %q", c.name, got, c.traffic)
		}
		if got := string(cl.AppendProbeHeader(nil, source, destination)); got != c.probe {
			t.Errorf("%s, of a probe: %q, want %q", c.name, got, c.probe)
		}
	}
}

// address reads an address; "" is one that is not known.
func address(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	if text == "" {
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The array that callers have for a header is large enough for each.
func TestHeaderFits(t *testing.T) {
	longest := netip.MustParseAddrPort("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")
	for _, version := range config.ProxyProtocolVersions() {
		cl := with(t, func(cfg *config.Cluster) { cfg.ProxyProtocol = version })
		var space [MaxHeader]byte
		var header []byte
		if n := testing.AllocsPerRun(10, func() { header = cl.AppendHeader(space[:0], longest, longest) }); n != 0 {
			t.Errorf("%s: %v allocations", version, n)
		}
		if len(header) > MaxHeader {
			t.Errorf("%s: %d bytes", version, len(header))
		}
	}
}
