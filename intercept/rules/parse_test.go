package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

type parseCase struct {
	name  string
	parse func(string) (any, error)
	text  string
	want  any // nil: refused with ErrOption
}

func any1[T any](parse func(string) (T, error)) func(string) (any, error) {
	return func(s string) (any, error) { return parse(s) }
}

func TestParse(t *testing.T) {
	ports, portSet := any1(ParsePorts), any1(ParsePortSet)
	prefixes, prefixSet := any1(ParsePrefixes), any1(ParsePrefixSet)
	p := netip.MustParsePrefix
	for _, c := range []parseCase{
		{"ports", ports, " 80, 443,,", []uint16{80, 443}},
		{"no ports", ports, "", []uint16(nil)},
		{"star is no port", ports, "*", nil},
		{"range", ports, "80:90", nil},
		{"port 0", ports, "0", nil},
		{"port too high", ports, "65536", nil},
		{"all ports", portSet, "*", PortSet{All: true}},
		{"some ports", portSet, "80", PortSet{Ports: []uint16{80}}},
		{"none", portSet, "", PortSet{}},
		{"prefixes", prefixes, "10.1.2.3/8,fd00::1/8", []netip.Prefix{p("10.0.0.0/8"), p("fd00::/8")}},
		{"addresses", prefixes, "10.1.2.3,::1", []netip.Prefix{p("10.1.2.3/32"), p("::1/128")}},
		{"name", prefixes, "localhost", nil},
		{"zone", prefixes, "fe80::1%eth0", nil},
		{"mapped", prefixes, "::ffff:10.0.0.1/128", nil},
		{"too long", prefixes, "10.0.0.0/33", nil},
		{"all prefixes", prefixSet, " * ", PrefixSet{All: true}},
		{"ids", any1(ParseIDs), "0,1337", []uint32{0, 1337}},
		{"id name", any1(ParseIDs), "root", nil},
		{"negative id", any1(ParseIDs), "-1", nil},
		{"hexadecimal", any1(ParseNumber), "0x539", uint32(1337)},
		{"33 bits", any1(ParseNumber), "4294967296", nil},
		{"interfaces", any1(ParseInterfaces), "eth0,tun+,br-1.2@x", []string{"eth0", "tun+", "br-1.2@x"}},
		{"every interface", any1(ParseInterfaces), "+", []string{"+"}},
		{"interface with a space", any1(ParseInterfaces), "a b", nil},
		{"interface with a quote", any1(ParseInterfaces), `a"`, nil},
		{"interface with a line", any1(ParseInterfaces), "a\n-F", nil},
		{"interface like a flag", any1(ParseInterfaces), "-j", nil},
		{"interface too long", any1(ParseInterfaces), "abcdefghijklmnop", nil},
		{"mode", any1(ParseMode), "tproxy", TProxy},
		{"no mode", any1(ParseMode), "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.parse(c.text)
			if c.want == nil {
				if !errors.Is(err, ErrOption) {
					t.Errorf("%q gave %v, error %v", c.text, got, err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q gave %v, error %v, not %v", c.text, got, err, c.want)
			}
		})
	}
}

type optionCase struct {
	name   string
	change func(*Options)
	want   string
}

func TestOptionsValidate(t *testing.T) {
	for _, c := range []optionCase{
		{"mode", func(o *Options) { o.Mode = "NONE" }, "REDIRECT or TPROXY"},
		{"port", func(o *Options) { o.InboundPort = 0 }, "a capture port is 0"},
		{"same port", func(o *Options) { o.InboundPort = o.OutboundPort }, "use two ports"},
		{"no owner", func(o *Options) { o.ProxyUIDs, o.ProxyGIDs = nil, nil }, "without end"},
		{"mark", func(o *Options) { o.Mode, o.TProxyMark = TProxy, 0 }, "TPROXY mark 0"},
		{"mark without a next one", func(o *Options) { o.Mode, o.TProxyMark = TProxy, 1<<32-1 }, "next higher"},
		{"main table", func(o *Options) { o.Mode, o.TProxyTable = TProxy, 254 }, "belongs to the kernel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Default()
			c.change(&o)
			_, err := BuildAll(o, []Family{IPv4})
			if !errors.Is(err, ErrOption) || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if _, err := BuildAll(Default(), []Family{IPv4, IPv6}); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

// FuzzParseInterfaces: whatever is accepted cannot break out of its rule.
func FuzzParseInterfaces(f *testing.F) {
	f.Add("eth0,tun+")
	f.Add("a\n-A OUTPUT -j ACCEPT")
	f.Fuzz(func(t *testing.T, s string) {
		names, err := ParseInterfaces(s)
		if err != nil && names != nil {
			t.Errorf("%q gave both %v and %v", s, names, err)
		}
		for _, name := range names {
			if strings.ContainsAny(name, " \t\r\n\"'\\#") || name[0] == '-' {
				t.Errorf("%q accepted as %q", s, name)
			}
		}
	})
}

func FuzzParsePrefixes(f *testing.F) {
	f.Add("10.0.0.0/8,::1")
	f.Fuzz(func(t *testing.T, s string) {
		prefixes, err := ParsePrefixes(s)
		if err != nil && prefixes != nil {
			t.Errorf("%q gave both %v and %v", s, prefixes, err)
		}
		for _, p := range prefixes {
			if !p.IsValid() || p != p.Masked() {
				t.Errorf("%q gave %v", s, p)
			}
		}
	})
}
