package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

type decideCase struct {
	name   string
	rules  []Rules
	change func(*Facts) // of someFacts
	want   Decision
}

func one(action Action, policies ...Policy) []Rules { return []Rules{{action, policies}} }

func denied(policy string) Decision {
	shown := policy
	if policy == "" {
		shown = "none"
	}
	return Decision{Policy: policy, Details: "rbac_access_denied_matched_policy[" + shown + "]"}
}

func allowed(policy string) Decision { return Decision{Allowed: true, Policy: policy} }

func (c decideCase) run(t *testing.T) {
	facts := someFacts()
	if c.change != nil {
		c.change(&facts)
	}
	r := compile(t, c.rules...)
	if got := r.Decide(&facts); got != c.want {
		t.Errorf("got %+v, want %+v\n%s", got, c.want, strings.Join(r.Explain(&facts), "\n"))
	}
}

func TestActions(t *testing.T) {
	from10 := Policy{Name: "from 10", SourceIPs: prefixes(t, "10.0.0.0/8")}
	from11 := Policy{Name: "from-11", SourceIPs: prefixes(t, "11.0.0.0/8")}
	all := Policy{Name: "all", Any: true}
	byTen := Decision{Policy: "from 10", Details: "rbac_access_denied_matched_policy[from_10]"}
	logged := func(d Decision, by string) Decision { d.Logged = by; return d }
	for _, c := range []decideCase{
		{"no rules", nil, nil, allowed("")},
		{"allow nothing", one(Allow), nil, denied("")},
		{"allow", one(Allow, from10), nil, allowed("from 10")},
		{"allow others", one(Allow, from11), nil, denied("")},
		{"deny", one(Deny, from10), nil, byTen},
		{"deny others", one(Deny, from11), nil, allowed("")},
		{"log", one(Log, from10), nil, logged(allowed(""), "from 10")},
		{"log others", one(Log, from11), nil, allowed("")},
		{"one of several", one(Allow, from11, from10), nil, allowed("from 10")},
		{"first by name, as Envoy", one(Allow, from10, all), nil, allowed("all")},
		{"deny before allow", []Rules{{Allow, []Policy{all}}, {Deny, []Policy{from10}}}, nil, byTen},
		{"deny beside allow", []Rules{{Allow, []Policy{all}}, {Deny, []Policy{from11}}}, nil, allowed("all")},
		{"log beside deny", []Rules{{Deny, []Policy{from10}}, {Log, []Policy{all}}}, nil, logged(byTen, "all")},
		{"log beside allow", []Rules{{Allow, []Policy{from11}}, {Log, []Policy{all}}}, nil, logged(denied(""), "all")},
		{"each allow must", []Rules{{Allow, []Policy{all}}, {Allow, []Policy{from11}}}, nil, denied("")},
		{"each deny may", []Rules{{Deny, []Policy{from11}}, {Deny, []Policy{from10}}}, nil, byTen},
	} {
		t.Run(c.name, c.run)
	}
}

func TestConditions(t *testing.T) {
	is := func(p Policy) []Rules { p.Name = "p"; return one(Allow, p) }
	source := func(text string) func(*Facts) {
		return func(f *Facts) { f.Source = netip.MustParseAddr(text) }
	}
	port := func(port uint16) func(*Facts) {
		return func(f *Facts) { f.Destination = netip.AddrPortFrom(f.Destination.Addr(), port) }
	}
	name := func(name string) func(*Facts) { return func(f *Facts) { f.ServerName = name } }
	sources := is(Policy{SourceIPs: prefixes(t, "10.4.1.2/32", "192.168.1.9/16", "fd00::/8", "::ffff:172.16.0.0/108")})
	ports := is(Policy{DestinationPorts: []PortRange{Port(80), {8000, 8100}, {8101, 8200}, {65535, 65535}}})
	names := is(Policy{ServerNames: []string{"a.example", "*.B.example"}})
	for _, c := range []decideCase{
		{"source", sources, nil, allowed("p")},
		{"host bits do not count", sources, source("192.168.200.1"), allowed("p")},
		{"IPv6", sources, source("fd00::1"), allowed("p")},
		{"zone", sources, source("fd00::1%eth0"), allowed("p")},
		{"mapped fact", sources, source("::ffff:10.4.1.2"), allowed("p")},
		{"mapped prefix", sources, source("172.31.0.1"), allowed("p")},
		{"below", sources, source("10.4.1.1"), denied("")},
		{"above", sources, source("192.169.0.0"), denied("")},
		{"other family", sources, source("2001:db8::1"), denied("")},
		{"IPv4 is not in ::/0", is(Policy{SourceIPs: prefixes(t, "::/0")}), nil, denied("")},
		{"direct source is another", is(Policy{SourceIPs: prefixes(t, "10.9.0.1/32")}), nil, denied("")},
		{"direct source", is(Policy{DirectSourceIPs: prefixes(t, "10.9.0.1/32")}), nil, allowed("p")},
		{"not direct source", is(Policy{NotDirectSourceIPs: prefixes(t, "10.9.0.1/32")}), nil, denied("")},
		{"destination", is(Policy{DestinationIPs: prefixes(t, "10.4.7.7/32")}), nil, allowed("p")},
		{"not destination", is(Policy{NotDestinationIPs: prefixes(t, "10.4.7.7/32")}), nil, denied("")},
		{"all lists hold", is(Policy{SourceIPs: prefixes(t, "10.4.0.0/16"), NotSourceIPs: prefixes(t, "10.4.2.0/24")}), nil, allowed("p")},
		{"one list does not", is(Policy{SourceIPs: prefixes(t, "10.4.0.0/16"), NotSourceIPs: prefixes(t, "10.4.1.0/24")}), nil, denied("")},
		{"not matches none of several", is(Policy{NotSourceIPs: prefixes(t, "11.0.0.0/8", "10.4.1.2/32")}), nil, denied("")},
		{"port", ports, port(80), allowed("p")},
		{"port in a range", ports, port(8100), allowed("p")},
		{"port in the next range", ports, port(8101), allowed("p")},
		{"last port", ports, port(65535), allowed("p")},
		{"port outside", ports, port(8201), denied("")},
		{"not port", is(Policy{NotDestinationPorts: []PortRange{Port(9080)}}), nil, denied("")},
		{"not another port", is(Policy{NotDestinationPorts: []PortRange{Port(9081)}}), nil, allowed("p")},
		{"name", names, name("a.example"), allowed("p")},
		{"name in capitals", names, name("A.eXample"), allowed("p")},
		{"name with a Kelvin sign", is(Policy{ServerNames: []string{"k.example"}}), name("\u212a.example"), denied("")},
		{"exact is not below", names, name("x.a.example"), denied("")},
		{"below", names, name("x.b.example"), allowed("p")},
		{"far below", names, name("x.y.b.example"), allowed("p")},
		{"not the name itself", names, name("b.example"), denied("")},
		{"only at a dot", names, name("xb.example"), denied("")},
		{"a dot is no name below", names, name(".b.example"), denied("")},
		{"no name", names, name(""), denied("")},
		{"any name", is(Policy{ServerNames: []string{"*"}}), nil, allowed("p")},
		{"any name, but none", is(Policy{ServerNames: []string{"*"}}), name(""), denied("")},
		{"not a name", is(Policy{NotServerNames: []string{"*.example"}}), nil, denied("")},
		{"not a name, and none", is(Policy{NotServerNames: []string{"*.example"}}), name(""), allowed("p")},
		{"no name at all", is(Policy{NotServerNames: []string{"*"}}), name(""), allowed("p")},
	} {
		t.Run(c.name, c.run)
	}
}

// TestUnknownFactsFailClosed: whatever a condition asks of a fact that is not
// known, deny denies, allow does not allow, and log logs.
func TestUnknownFactsFailClosed(t *testing.T) {
	ten := prefixes(t, "10.0.0.0/8")
	noSource := func(f *Facts) { f.Source = netip.Addr{} }
	noPeer := func(f *Facts) { f.DirectSource = netip.Addr{} }
	nowhere := func(f *Facts) { f.Destination = netip.AddrPort{} }
	noName := func(f *Facts) { f.ServerName, f.ServerNameUnknown = "", true }
	for _, c := range []struct {
		name   string
		policy Policy
		forget func(*Facts)
	}{
		{"source", Policy{SourceIPs: ten}, noSource},
		{"not source", Policy{NotSourceIPs: ten}, noSource},
		{"peer", Policy{DirectSourceIPs: ten}, noPeer},
		{"not peer", Policy{NotDirectSourceIPs: ten}, noPeer},
		{"destination", Policy{DestinationIPs: ten}, nowhere},
		{"not destination", Policy{NotDestinationIPs: ten}, nowhere},
		{"port", Policy{DestinationPorts: []PortRange{Port(1)}}, nowhere},
		{"not port", Policy{NotDestinationPorts: []PortRange{Port(1)}}, nowhere},
		{"server name", Policy{ServerNames: []string{"x"}}, noName},
		{"not server name", Policy{NotServerNames: []string{"x"}}, noName},
	} {
		c.policy.Name = "p"
		logged := allowed("")
		logged.Logged = "p"
		t.Run("allow "+c.name, decideCase{"", one(Allow, c.policy), c.forget, denied("")}.run)
		t.Run("deny "+c.name, decideCase{"", one(Deny, c.policy), c.forget, denied("p")}.run)
		t.Run("log "+c.name, decideCase{"", one(Log, c.policy), c.forget, logged}.run)
	}
	// A condition that surely fails needs no other.
	wrongPort := Policy{Name: "p", NotSourceIPs: ten, ServerNames: []string{"x"}, DestinationPorts: []PortRange{Port(1)}}
	forget := func(f *Facts) { noSource(f); noName(f) }
	decideCase{"", one(Deny, wrongPort), forget, allowed("")}.run(t)
}

func TestExplain(t *testing.T) {
	r := compile(t,
		Rules{Allow, []Policy{
			{Name: "web", DestinationPorts: []PortRange{Port(80)}},
			{Name: "ten", SourceIPs: prefixes(t, "10.0.0.0/8"), NotServerNames: []string{"x"}},
		}},
		Rules{Deny, []Policy{{Name: "bad", ServerNames: []string{"*.bad"}}}},
		Rules{Log, []Policy{{Name: "all", Any: true}}},
	)
	facts := someFacts()
	want := []string{
		`rbac log policy "all": matches`,
		`rbac deny policy "bad": does not match, because of server_names`,
		`rbac allow policy "ten": matches`,
		`rbac allow policy "web": does not match, because of destination_ports`,
		`rbac: allowed by policy "ten"`,
	}
	if got := r.Explain(&facts); !slices.Equal(got, want) {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
	facts.ServerName, facts.ServerNameUnknown = "", true
	want = []string{
		`rbac log policy "all": matches`,
		`rbac deny policy "bad": matches, because what server_names asks is not known`,
		`rbac allow policy "ten": does not match, because what not_server_names asks is not known`,
		`rbac allow policy "web": does not match, because of destination_ports`,
		`rbac: denied by policy "bad"`,
	}
	if got := r.Explain(&facts); !slices.Equal(got, want) {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
	want = []string{"rbac allow: has no policy, so it refuses everything", "rbac: denied, no allow policy matches"}
	if got := compile(t, Rules{Action: Allow}).Explain(&facts); !slices.Equal(got, want) {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
}

func TestNeedsServerName(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy Policy
		want   bool
	}{
		{"asks", Policy{ServerNames: []string{"a"}}, true},
		{"asks for others", Policy{NotServerNames: []string{"a"}}, true},
		{"does not ask", Policy{DestinationPorts: []PortRange{Port(1)}}, false},
	} {
		c.policy.Name = c.name
		if got := compile(t, Rules{Deny, []Policy{c.policy}}).NeedsServerName(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
