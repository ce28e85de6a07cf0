package listener

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// chain is a filter chain with a name and a match.
func chain(name string, m config.Match) config.FilterChain {
	if m.SourceType == "" {
		m.SourceType = config.SourceAny
	}
	return config.FilterChain{Name: name, Match: m}
}

func cidrs(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// facts are of a connection from source to destination without PROXY protocol.
func facts(source, destination string) Facts {
	from := netip.MustParseAddrPort(source)
	return Facts{Destination: netip.MustParseAddrPort(destination), DirectSource: from.Addr(), Source: from}
}

// normalised brings chains into the form that NewIndex wants.
func normalised(chains []config.FilterChain) []config.FilterChain {
	cfg := config.Config{Listeners: []config.Listener{{FilterChains: chains}}}
	config.Normalize(&cfg)
	return cfg.Listeners[0].FilterChains
}

func mustIndex(t testing.TB, chains []config.FilterChain) *Index {
	t.Helper()
	x, problems := NewIndex(normalised(chains), true)
	if len(problems) > 0 {
		t.Fatalf("index refused: %v", problems)
	}
	return x
}

// inspected are facts with what inspection told.
func inspected(f Facts, name string, transport config.TransportProtocol, protocols ...string) Facts {
	f.ServerName, f.TransportProtocol, f.ApplicationProtocols = name, transport, protocols
	return f
}

type matchCase struct {
	name   string
	chains []config.Match
	facts  Facts
	want   int
}

func TestMatch(t *testing.T) {
	cases := []matchCase{
		{"no chains", nil, facts("1.1.1.1:1", "2.2.2.2:2"), NoMatch},
		{"an empty match takes anything", []config.Match{{}}, facts("1.1.1.1:1", "2.2.2.2:2"), 0},
		{"a port is not given up for any port", []config.Match{{}, {DestinationPort: 80, SourcePorts: []uint16{5}}},
			facts("1.1.1.1:6", "2.2.2.2:80"), NoMatch},
		{"the longest prefix wins", []config.Match{{PrefixRanges: cidrs("10.0.0.0/8")}, {PrefixRanges: cidrs("10.1.0.0/16")}, {}},
			facts("1.1.1.1:6", "10.1.255.255:80"), 1},
		{"behind an inner prefix the outer one goes on", []config.Match{{PrefixRanges: cidrs("10.0.0.0/8")}, {PrefixRanges: cidrs("10.1.0.0/16")}},
			facts("1.1.1.1:6", "10.2.0.0:80"), 0},
		{"behind an outer prefix nothing", []config.Match{{PrefixRanges: cidrs("10.0.0.0/8")}, {PrefixRanges: cidrs("10.255.0.0/16")}},
			facts("1.1.1.1:6", "11.0.0.0:80"), NoMatch},
		{"before the first prefix nothing", []config.Match{{PrefixRanges: cidrs("10.0.0.0/8")}}, facts("1.1.1.1:6", "9.255.255.255:80"), NoMatch},
		{"the last address of all", []config.Match{{PrefixRanges: cidrs("255.0.0.0/8")}, {PrefixRanges: cidrs("255.255.255.255/32")}},
			facts("1.1.1.1:6", "255.255.255.255:80"), 1},
		{"IPv6 prefix", []config.Match{{PrefixRanges: cidrs("fd00::/8")}, {PrefixRanges: cidrs("fd00:4::5/128")}, {}},
			facts("[fd00::1]:6", "[fd00:4::5]:80"), 1},
		{"IPv6 prefixes do not take IPv4", []config.Match{{PrefixRanges: cidrs("::/0")}}, facts("1.1.1.1:6", "2.2.2.2:80"), NoMatch},
		{"any takes the family that /0 leaves", []config.Match{{PrefixRanges: cidrs("0.0.0.0/0"), SourcePorts: []uint16{1}}, {SourcePorts: []uint16{2}}},
			facts("[fd00::1]:2", "[fd00::2]:80"), 1},
		{"mapped destination is IPv4", []config.Match{{PrefixRanges: cidrs("10.0.0.0/8")}}, facts("[::ffff:1.1.1.1]:6", "[::ffff:10.1.1.1]:80"), 0},
		{"mapped prefix is IPv4", []config.Match{{SourcePrefixRanges: cidrs("::ffff:10.0.0.0/104")}}, facts("10.9.9.9:6", "1.1.1.1:80"), 0},
		{"a zone does not matter to a prefix", []config.Match{{PrefixRanges: cidrs("fe80::/10")}}, facts("[fe80::1%2]:6", "[fe80::2%2]:80"), 0},
		{"direct source before source type", []config.Match{{DirectSourcePrefixRanges: cidrs("10.0.0.0/8"), SourceType: config.SourceLocal}, {}},
			facts("10.0.0.1:6", "1.1.1.1:80"), NoMatch},
		{"loopback is local", []config.Match{{SourceType: config.SourceLocal}, {SourceType: config.SourceExternal}}, facts("127.0.0.1:6", "1.1.1.1:80"), 0},
		{"::1 is local", []config.Match{{SourceType: config.SourceLocal}, {SourceType: config.SourceExternal}}, facts("[::1]:6", "[fd00::1]:80"), 0},
		{"mapped loopback is local", []config.Match{{SourceType: config.SourceLocal}}, facts("[::ffff:127.0.0.1]:6", "1.1.1.1:80"), 0},
		{"127.0.0.6 is not local to Envoy", []config.Match{{SourceType: config.SourceLocal}, {SourceType: config.SourceExternal}}, facts("127.0.0.6:6", "1.1.1.1:80"), 1},
		{"the destination's own address is local", []config.Match{{SourceType: config.SourceLocal}}, facts("10.0.0.1:6", "[::ffff:10.0.0.1]:80"), 0},
		{"any type when the specific one is missing", []config.Match{{SourceType: config.SourceLocal}, {}}, facts("9.9.9.9:6", "1.1.1.1:80"), 1},
		{"a specific type is not given up", []config.Match{{SourceType: config.SourceExternal, SourcePrefixRanges: cidrs("8.0.0.0/8")}, {}},
			facts("9.9.9.9:6", "1.1.1.1:80"), NoMatch},
		{"source prefix before source port", []config.Match{{SourcePrefixRanges: cidrs("9.0.0.0/8"), SourcePorts: []uint16{5}}, {SourcePorts: []uint16{6}}},
			facts("9.9.9.9:6", "1.1.1.1:80"), NoMatch},
		{"source port, else any", []config.Match{{SourcePorts: []uint16{5, 7}}, {}}, facts("9.9.9.9:7", "1.1.1.1:80"), 0},
		{"PROXY protocol separates source and direct source",
			[]config.Match{{DirectSourcePrefixRanges: cidrs("10.0.0.0/8"), SourcePrefixRanges: cidrs("8.0.0.0/8")}},
			Facts{DirectSource: netip.MustParseAddr("10.1.1.1"), Source: netip.MustParseAddrPort("8.8.8.8:1")}, 0},
		{"the longest suffix wins", []config.Match{{ServerNames: []string{"*.com"}}, {ServerNames: []string{"*.b.com"}}, {ServerNames: []string{"c.b.com"}}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "A.C.B.com", config.TransportTLS), 1},
		{"a suffix is not the name itself", []config.Match{{ServerNames: []string{"*.b.com"}}, {}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "b.com", config.TransportTLS), 1},
		{"the shortest suffix", []config.Match{{ServerNames: []string{"*.c"}}, {}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "b.c", config.TransportTLS), 0},
		{"a suffix begins with a dot", []config.Match{{ServerNames: []string{"*.b.com"}}, {}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "ab.com", config.TransportTLS), 1},
		{"a name without the suffix's last dot", []config.Match{{ServerNames: []string{"*.com"}}, {}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "a.com.", config.TransportTLS), 1},
		{"a name longer than any may be", []config.Match{{ServerNames: []string{"*.com"}}, {}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), strings.Repeat("a.", 30000)+"com", config.TransportTLS), 0},
		{"names are not DNS: bytes beyond ASCII stay", []config.Match{{ServerNames: []string{"*.com"}}, {}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "\x00\xff.COM", config.TransportTLS), 0},
		{"no name goes to who asks for none", []config.Match{{ServerNames: []string{"*.com"}}, {}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "", config.TransportTLS), 1},
		{"a prefix before a name", []config.Match{{PrefixRanges: cidrs("2.0.0.0/8"), ServerNames: []string{"a.com"}}, {ServerNames: []string{"b.com"}}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "b.com", config.TransportTLS), NoMatch},
		{"a name before a transport", []config.Match{{ServerNames: []string{"a.com"}, TransportProtocol: config.TransportRawBuffer}, {TransportProtocol: config.TransportTLS}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "a.com", config.TransportTLS), NoMatch},
		{"a transport that is not known matches who does not ask", []config.Match{{TransportProtocol: config.TransportRawBuffer}, {}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "", ""), 1},
		{"a transport before a protocol", []config.Match{{TransportProtocol: config.TransportTLS, ApplicationProtocols: []string{"h2"}}, {ApplicationProtocols: []string{"istio"}}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "", config.TransportTLS, "istio"), NoMatch},
		{"the client's first protocol", []config.Match{{ApplicationProtocols: []string{"h2"}}, {ApplicationProtocols: []string{"http/1.1"}}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "", config.TransportTLS, "x", "http/1.1", "h2"), 1},
		{"protocols have a case", []config.Match{{ApplicationProtocols: []string{"h2"}}, {}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "", config.TransportTLS, "H2"), 1},
		{"a protocol before the direct source", []config.Match{{ApplicationProtocols: []string{"h2"}}, {DirectSourcePrefixRanges: cidrs("1.1.1.1/32")}},
			inspected(facts("1.1.1.1:6", "2.2.2.2:80"), "", config.TransportTLS, "h2"), 0},
		{"what is not known matches only who does not ask", []config.Match{{PrefixRanges: cidrs("10.0.0.0/8")}, {}}, Facts{}, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var chains []config.FilterChain
			for _, m := range c.chains {
				chains = append(chains, chain("", m))
			}
			if got := mustIndex(t, chains).Match(&c.facts); got != c.want {
				t.Errorf("chain %d, want %d", got, c.want)
			}
		})
	}
}

type problemCase struct {
	name   string
	chains []config.FilterChain
	want   []string // path: message, as far as it matters
}

func TestIndexProblems(t *testing.T) {
	cases := []problemCase{
		{"same match", []config.FilterChain{chain("a", config.Match{DestinationPort: 80}), chain("b", config.Match{DestinationPort: 80})},
			[]string{`filter_chains[1].match: of chain "b" is the same as filter_chains[0].match of chain "a": both take destination_port 80;`}},
		{"overlap in one value", []config.FilterChain{
			chain("a", config.Match{PrefixRanges: cidrs("10.0.0.0/8", "11.0.0.0/8")}),
			chain("x", config.Match{}),
			chain("b", config.Match{PrefixRanges: cidrs("11.0.0.0/8", "12.0.0.0/8")})},
			[]string{`filter_chains[2].match: of chain "b" overlaps with filter_chains[0].match of chain "a": both take prefix_ranges 11.0.0.0/8;`}},
		{"one pair once", []config.FilterChain{
			chain("a", config.Match{SourcePorts: []uint16{1, 2, 3}}), chain("b", config.Match{SourcePorts: []uint16{2, 3}})},
			[]string{`filter_chains[1].match: of chain "b" overlaps with filter_chains[0].match of chain "a": both take source_ports 2;`}},
		{"three of a kind", []config.FilterChain{chain("a", config.Match{}), chain("b", config.Match{}), chain("c", config.Match{})},
			[]string{`filter_chains[1].match: of chain "b" is the same as filter_chains[0].match of chain "a": both take any connection;`, `filter_chains[2].match: of chain "c" is the same as filter_chains[0].match`}},
		{"any and both /0", []config.FilterChain{chain("a", config.Match{}), chain("b", config.Match{PrefixRanges: cidrs("0.0.0.0/0")})},
			[]string{`filter_chains[1].match: of chain "b" overlaps with filter_chains[0].match of chain "a": both take prefix_ranges 0.0.0.0/0`}},
		{"host bits hide a repeat", []config.FilterChain{chain("a", config.Match{SourcePrefixRanges: cidrs("10.0.0.1/8", "10.0.0.2/8")})},
			[]string{`filter_chains[0].match.source_prefix_ranges: of chain "a" lists 10.0.0.0/8 more than once`}},
		{"names differ in case", []config.FilterChain{chain("a", config.Match{ServerNames: []string{"A.example", "*.b.example"}}), chain("b", config.Match{ServerNames: []string{"*.B.example", "a.EXAMPLE"}})},
			[]string{`filter_chains[1].match: of chain "b" overlaps with filter_chains[0].match of chain "a": both take server_names *.b.example;`}},
		{"a name twice", []config.FilterChain{chain("a", config.Match{ServerNames: []string{"*.a.example", "*.A.example"}})},
			[]string{`filter_chains[0].match.server_names: of chain "a" lists *.a.example more than once`}},
		{"a protocol twice", []config.FilterChain{chain("a", config.Match{ApplicationProtocols: []string{"h2", "h2"}})},
			[]string{`filter_chains[0].match.application_protocols: of chain "a" lists h2 more than once`}},
		{"one protocol in two chains", []config.FilterChain{
			chain("a", config.Match{TransportProtocol: config.TransportTLS, ApplicationProtocols: []string{"h2", "istio"}}),
			chain("b", config.Match{TransportProtocol: config.TransportTLS, ApplicationProtocols: []string{"istio"}})},
			[]string{`filter_chains[1].match: of chain "b" overlaps with filter_chains[0].match of chain "a": both take transport_protocol tls, application_protocols istio;`}},
		{"port twice", []config.FilterChain{chain("a", config.Match{SourcePorts: []uint16{7, 7, 7}})},
			[]string{`filter_chains[0].match.source_ports: of chain "a" lists 7 more than once`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			x, problems := NewIndex(normalised(c.chains), false)
			if x != nil || len(problems) != len(c.want) {
				t.Fatalf("index %v, problems %v; want %q", x, problems, c.want)
			}
			for i, p := range problems {
				if text := p.Path + ": " + p.Message; !strings.HasPrefix(text, c.want[i]) {
					t.Errorf("problem %q, want %q", text, c.want[i])
				}
			}
		})
	}
}

func TestNoChainAtAll(t *testing.T) {
	if _, problems := NewIndex(nil, false); len(problems) != 1 {
		t.Errorf("problems %v, want one", problems)
	}
	if _, problems := NewIndex(nil, true); len(problems) != 0 {
		t.Errorf("with a default chain: %v", problems)
	}
}

// A chain with long lists must cost their sum, not their product.
func TestLongListsDoNotMultiply(t *testing.T) {
	var m config.Match
	for i := range 300 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		m.PrefixRanges = append(m.PrefixRanges, p)
		m.DirectSourcePrefixRanges = append(m.DirectSourcePrefixRanges, p)
		m.SourcePrefixRanges = append(m.SourcePrefixRanges, p)
		m.SourcePorts = append(m.SourcePorts, uint16(i+1))
	}
	x := mustIndex(t, []config.FilterChain{chain("a", m)})
	if n := len(x.ports) + len(x.prefixes); n != 4 {
		t.Errorf("%d tables, want 4", n)
	}
	f := facts("10.0.3.1:300", "10.0.7.1:9")
	if got := x.Match(&f); got != 0 {
		t.Errorf("chain %d, want 0", got)
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	x := mustIndex(t, shapeEvery(100))
	f := inspected(facts("10.0.0.7:1", "10.0.0.7:8"), "www.reviews-7.prod.svc.cluster.EXAMPLE", config.TransportTLS, "http/1.1", "istio")
	f.Source = f.Destination
	if n := testing.AllocsPerRun(100, func() { x.Match(&f); x.Needs(&f) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

type needsCase struct {
	name   string
	chains []config.Match
	facts  Facts
	want   Needs
}

func TestNeeds(t *testing.T) {
	tls, raw := config.TransportTLS, config.TransportRawBuffer
	to := func(port string) Facts { return facts("1.1.1.1:6", "2.2.2.2:"+port) }
	mysql := []config.Match{{DestinationPort: 3306}, {DestinationPort: 443, ServerNames: []string{"a.com"}, TransportProtocol: tls}, {DestinationPort: 80, ApplicationProtocols: []string{"h2c"}},
		{PrefixRanges: cidrs("2.0.0.0/8")}, {ApplicationProtocols: []string{"istio"}, PrefixRanges: cidrs("3.0.0.0/8")}}
	cases := []needsCase{
		{"no chain", nil, to("1"), Needs{}},
		{"a server-first port beside TLS ones", mysql, to("3306"), Needs{}},
		{"the TLS port", mysql, to("443"), Needs{ServerName: true, TransportProtocol: true}},
		{"the protocol's port", mysql, to("80"), Needs{ApplicationProtocols: true}},
		{"a prefix decides", mysql, to("9"), Needs{}},
		{"another prefix asks", mysql, facts("1.1.1.1:6", "3.2.2.2:9"), Needs{ApplicationProtocols: true}},
		{"once it is known that there is no TLS", mysql, inspected(to("443"), "", raw), Needs{}},
		{"not TLS may still be HTTP", mysql, inspected(to("80"), "", raw), Needs{ApplicationProtocols: true}},
		{"TLS has told all", mysql, inspected(to("80"), "", tls), Needs{}},
		{"protocols are known", mysql, inspected(to("80"), "", raw, "http/1.1"), Needs{}},
		{"no chain that asks fits the source", []config.Match{{TransportProtocol: tls, SourcePrefixRanges: cidrs("10.0.0.0/8")}, {ServerNames: []string{"a.com"}, SourcePrefixRanges: cidrs("11.0.0.0/8")}},
			to("80"), Needs{}},
		{"such a chain still shuts others out", []config.Match{{TransportProtocol: tls, SourcePrefixRanges: cidrs("10.0.0.0/8")}, {}}, to("80"), Needs{TransportProtocol: true}},
		{"only one transport asks for protocols", []config.Match{{TransportProtocol: tls, ApplicationProtocols: []string{"istio"}}, {TransportProtocol: tls}, {TransportProtocol: raw}},
			inspected(to("80"), "", raw), Needs{}},
		{"more names than are followed", manyNames(fewBranches + 1), to("80"), Needs{ServerName: true}},
		{"as many names as are followed", manyNames(fewBranches - 1), to("80"), Needs{ServerName: true}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var chains []config.FilterChain
			for _, m := range c.chains {
				chains = append(chains, chain("", m))
			}
			if got := mustIndex(t, chains).Needs(&c.facts); got != c.want {
				t.Errorf("needs %+v, want %+v", got, c.want)
			}
		})
	}
}

// manyNames are for one name each.
func manyNames(n int) []config.Match {
	list := make([]config.Match, n)
	for i := range list {
		list[i].ServerNames = []string{tenant(i)}
	}
	return list
}

// Small and large tables answer alike.
func TestTexts(t *testing.T) {
	for n := range 3 * fewTexts {
		var table texts
		for i := range n {
			table.add(tenant(i), ref{index: int32(i)})
		}
		if len(table.refs()) != n {
			t.Errorf("%d refs of %d", len(table.refs()), n)
		}
		for i := range n + 1 {
			to, ok := table.get(tenant(i))
			same, found := table.getBytes([]byte(tenant(i)))
			if to != same || ok != found || ok != (i < n) || ok && to.index != int32(i) {
				t.Errorf("of %d texts number %d is %v, %v and %v, %v", n, i, to, ok, same, found)
			}
		}
	}
}
