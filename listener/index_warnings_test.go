package listener

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

type warningCase struct {
	name       string
	chains     []config.FilterChain
	hasDefault bool
	want       []string
}

func TestWarnings(t *testing.T) {
	tls, raw := config.TransportTLS, config.TransportRawBuffer
	cases := []warningCase{
		{"nothing to say", []config.FilterChain{
			chain("a", config.Match{DestinationPort: 80, TransportProtocol: tls}), chain("b", config.Match{DestinationPort: 80}), chain("c", config.Match{})}, true, nil},
		{"what fits no chain does not count", []config.FilterChain{
			chain("a", config.Match{DestinationPort: 80, SourceType: config.SourceExternal}), chain("b", config.Match{SourceType: config.SourceExternal})}, false, nil},
		{"a port without a chain for the rest", []config.FilterChain{
			chain("a", config.Match{DestinationPort: 8080, ServerNames: []string{"a.com"}}), chain("b", config.Match{})}, false,
			[]string{`filter_chains[1].match: chain "b" fits connections that no chain takes: a connection from 198.51.100.7:40000 to 192.0.2.1:8080, not TLS, without application protocol is reset, because destination_port 8080 leads to chain "a" (filter_chains[0]), which does not fit, and the choice is not taken back`}},
		{"a name without its protocol", []config.FilterChain{
			chain("foo", config.Match{}), chain("bar", config.Match{ServerNames: []string{"www.example.com", "*.example.org"}, TransportProtocol: tls, ApplicationProtocols: []string{"h2"}})}, true,
			[]string{`filter_chains[0].match: chain "foo" fits connections that no chain takes: a connection from 198.51.100.7:40000 to 192.0.2.1:9000, TLS for www.example.com, without application protocol goes to default_filter_chain, because server_names www.example.com (1 more value too) leads to chain "bar"`}},
		{"the local client of Envoy's own test", []config.FilterChain{
			chain("foo", config.Match{SourceType: config.SourceLocal}), chain("bar", config.Match{ApplicationProtocols: []string{"http/1.1"}, SourceType: config.SourceExternal}), chain("baz", config.Match{})}, false,
			[]string{`filter_chains[0].match: chain "foo" fits connections that no chain takes: a connection from 127.0.0.1:40000 to 192.0.2.1:9000, not TLS, application protocol http/1.1 is reset, because application_protocols http/1.1 leads to chain "bar"`,
				`filter_chains[2].match: chain "baz" fits`}},
		{"a shorter wildcard", []config.FilterChain{
			chain("wild", config.Match{ServerNames: []string{"*.com"}}), chain("deep", config.Match{ServerNames: []string{"*.a.com"}, SourcePrefixRanges: cidrs("10.0.0.0/8")})}, false,
			[]string{`filter_chains[0].match: chain "wild" fits connections that no chain takes: a connection from 198.51.100.7:40000 to 192.0.2.1:9000, TLS for any.a.com, without application protocol is reset, because server_names *.a.com leads to chain "deep"`}},
		{"the client's second protocol", []config.FilterChain{
			chain("one", config.Match{ApplicationProtocols: []string{"h2"}, SourcePrefixRanges: cidrs("10.0.0.0/8")}), chain("two", config.Match{ApplicationProtocols: []string{"http/1.1"}})}, false,
			[]string{`filter_chains[1].match: chain "two" fits connections that no chain takes: a connection from 198.51.100.7:40000 to 192.0.2.1:9000, not TLS, application protocol h2, http/1.1 is reset, because application_protocols h2 leads`}},
		{"a narrower prefix", []config.FilterChain{
			chain("wide", config.Match{PrefixRanges: cidrs("10.0.0.0/8")}), chain("narrow", config.Match{PrefixRanges: cidrs("10.1.0.0/16"), SourcePorts: []uint16{5}})}, false,
			[]string{`filter_chains[0].match: chain "wide" fits connections that no chain takes: a connection from 198.51.100.7:40000 to 10.1.255.254:9000 is reset, because prefix_ranges 10.1.0.0/16 leads to chain "narrow"`}},
		{"halves hide the whole", []config.FilterChain{
			chain("whole", config.Match{PrefixRanges: cidrs("10.0.0.0/8")}), chain("low", config.Match{PrefixRanges: cidrs("10.0.0.0/9")}), chain("high", config.Match{PrefixRanges: cidrs("10.128.0.0/9")})}, false,
			[]string{`filter_chains[0].match: chain "whole" is never chosen: whatever fits it also fits a more specific value of another chain; a connection from 198.51.100.7:40000 to 10.255.255.254:9000, for example, goes to chain "high" (filter_chains[2])`}},
		{"both source types hide any", []config.FilterChain{
			chain("any", config.Match{}), chain("in", config.Match{SourceType: config.SourceLocal}), chain("out", config.Match{SourceType: config.SourceExternal})}, false,
			[]string{`filter_chains[0].match: chain "any" is never chosen: whatever`}},
		{"a name without TLS", []config.FilterChain{chain("a", config.Match{ServerNames: []string{"a.com"}, TransportProtocol: raw})}, true,
			[]string{`filter_chains[0].match: chain "a" is never chosen: server_names are known of TLS only, and transport_protocol is raw_buffer`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			x, problems := NewIndex(normalised(c.chains), c.hasDefault)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			got := x.Warnings()
			if len(got) != len(c.want) {
				t.Fatalf("warnings\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("warning\n%s\nwant\n%s", got[i], c.want[i])
				}
			}
		})
	}
}

// Chains that are said to be unreachable take nothing; what falls although a
// chain fits it is, most times, warned of.
func TestWarningsAreTrue(t *testing.T) {
	holes, silent, unreachable := 0, 0, 0
	for seed := range uint64(1500) {
		u := universe{rand.New(rand.NewPCG(seed, 3))}
		var chains []config.FilterChain
		for range 1 + u.r.IntN(6) {
			longer := append(slices.Clone(chains), chain("", u.match()))
			if _, problems := NewIndex(longer, true); len(problems) == 0 {
				chains = longer
			}
		}
		x := mustIndex(t, chains)
		warnings := x.Warnings()
		reached := x.reached()
		if slices.Contains(reached, false) {
			unreachable++
		}
		hole := false
		for range 300 {
			f := u.facts()
			got := x.Match(&f)
			if got != NoMatch && !reached[got] {
				t.Fatalf("chain %d is said to be unreachable, but takes %+v", got, f)
			}
			if got == NoMatch && f.TransportProtocol != "" && (f.ServerName == "" || f.TransportProtocol == config.TransportTLS) {
				lower := f
				lower.ServerName = strings.ToLower(f.ServerName)
				hole = hole || slices.ContainsFunc(chains, func(c config.FilterChain) bool { return fits(&c.Match, &lower) })
			}
		}
		if hole {
			holes++
			if len(warnings) == 0 {
				silent++
			}
		}
	}
	t.Logf("%d of 1500 sets of chains have holes, %d of them without a warning; %d have unreachable chains", holes, silent, unreachable)
	if holes < 100 || unreachable < 10 || silent > holes/50 {
		t.Errorf("%d holes, %d silent, %d unreachable", holes, silent, unreachable)
	}
}

func BenchmarkWarnings(b *testing.B) {
	for _, s := range matchShapes() {
		if s.name == "port" {
			continue
		}
		b.Run(s.name+"/chains=100000", func(b *testing.B) {
			x := mustIndex(b, append(s.chains(100000), chain("rest", config.Match{})))
			for b.Loop() {
				x.Warnings()
			}
		})
	}
}
