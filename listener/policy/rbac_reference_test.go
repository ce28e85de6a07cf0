package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// referenceDecide decides the slow way, straight from the rules as a user
// wrote them and the sentences of Envoy's rbac.proto, plus ours about facts
// that are not known.
func referenceDecide(rules []Rules, f *Facts) Decision {
	matching := func(r Rules) string {
		var names []string
		for _, p := range r.Policies {
			matches, sure := referenceMatches(&p, f)
			if matches && (sure || r.Action != Allow) {
				names = append(names, p.Name)
			}
		}
		slices.Sort(names)
		return append(names, "")[0]
	}
	var logged, by string
	for _, r := range rules {
		if r.Action == Log && logged == "" {
			logged = matching(r)
		}
	}
	for _, r := range rules {
		if name := matching(r); r.Action == Deny && name != "" {
			return Decision{Policy: name, Logged: logged, Details: details(name)}
		}
	}
	for _, r := range rules {
		if r.Action != Allow {
			continue
		}
		name := matching(r)
		if name == "" {
			return Decision{Logged: logged, Details: details("none")}
		}
		if by == "" {
			by = name
		}
	}
	return Decision{Allowed: true, Policy: by, Logged: logged}
}

// referenceMatches tells whether p may match, and whether that is sure.
func referenceMatches(p *Policy, f *Facts) (matches, sure bool) {
	matches, sure = true, true
	hold := func(asked, known, holds bool) {
		switch {
		case asked && !known:
			sure = false
		case asked && !holds:
			matches = false
		}
	}
	addrs := func(is, isNot []netip.Prefix, a netip.Addr) {
		in := func(p netip.Prefix) bool { return p.Contains(a.Unmap().WithZone("")) }
		hold(len(is) > 0, a.IsValid(), slices.ContainsFunc(is, in))
		hold(len(isNot) > 0, a.IsValid(), !slices.ContainsFunc(isNot, in))
	}
	addrs(p.SourceIPs, p.NotSourceIPs, f.Source)
	addrs(p.DirectSourceIPs, p.NotDirectSourceIPs, f.DirectSource)
	addrs(p.DestinationIPs, p.NotDestinationIPs, f.Destination.Addr())
	inRange := func(r PortRange) bool { return r.First <= f.Destination.Port() && f.Destination.Port() <= r.Last }
	hold(len(p.DestinationPorts) > 0, f.Destination.IsValid(), slices.ContainsFunc(p.DestinationPorts, inRange))
	hold(len(p.NotDestinationPorts) > 0, f.Destination.IsValid(), !slices.ContainsFunc(p.NotDestinationPorts, inRange))
	fits := func(pattern string) bool {
		name := strings.ToLower(f.ServerName)
		suffix, wild := strings.CutPrefix(strings.ToLower(pattern), "*")
		return !wild && name == suffix || wild && len(name) > len(suffix) && strings.HasSuffix(name, suffix)
	}
	hold(len(p.ServerNames) > 0, !f.ServerNameUnknown, slices.ContainsFunc(p.ServerNames, fits))
	hold(len(p.NotServerNames) > 0, !f.ServerNameUnknown, !slices.ContainsFunc(p.NotServerNames, fits))
	return matches, sure
}

// choices turns bytes into rules and facts that are close to each other, so
// that about as many match as do not.
type choices struct{ data []byte }

// below is the next choice of n; there are always more.
func (c *choices) below(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

// some is a list of up to three.
func some[T any](c *choices, make func() T) []T {
	var out []T
	for range max(0, c.below(8)-4) {
		out = append(out, make())
	}
	return out
}

func (c *choices) addr() netip.Addr {
	low := byte(c.below(4)) << 6
	switch c.below(8) {
	case 0:
		return netip.Addr{}
	case 1, 2:
		return netip.AddrFrom16([16]byte{0: 0xfd, 14: byte(c.below(2)), 15: low})
	case 3:
		return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: low}).WithZone("eth0")
	case 4:
		return netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 10, 15: low})
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(c.below(2)), low})
}

func (c *choices) prefix() netip.Prefix {
	a := c.addr().Unmap().WithZone("")
	if !a.IsValid() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	less := []int{0, 6, 7, 8, 9, 16, 31}
	return netip.PrefixFrom(a, a.BitLen()-less[c.below(len(less))])
}

func (c *choices) port() uint16 { return uint16(1 + c.below(6)) }

func (c *choices) ports() PortRange {
	first := c.port()
	return PortRange{first, first + uint16(c.below(3))}
}

func (c *choices) name() string {
	list := []string{"a", "b.a", "c.b.a", "C.B.a", "cb.a", "x.c.b.a", "b", ""}
	return list[c.below(len(list))]
}

func (c *choices) pattern() string {
	list := []string{"a", "b.a", "c.B.a", "*.a", "*.b.a", "*.b", "*", "c"}
	return list[c.below(len(list))]
}

func (c *choices) policy(i int) Policy {
	return Policy{
		Name: fmt.Sprintf("p%d-%d", c.below(10), i), // not in order

		SourceIPs: some(c, c.prefix), NotSourceIPs: some(c, c.prefix),
		DirectSourceIPs: some(c, c.prefix), NotDirectSourceIPs: some(c, c.prefix),
		DestinationIPs: some(c, c.prefix), NotDestinationIPs: some(c, c.prefix),
		DestinationPorts: some(c, c.ports), NotDestinationPorts: some(c, c.ports),
		ServerNames: some(c, c.pattern), NotServerNames: some(c, c.pattern),
		Any: c.below(16) == 1,
	}
}

func (c *choices) rules() []Rules {
	all := make([]Rules, 1+c.below(3))
	for i := range all {
		all[i].Action = []Action{Allow, Deny, Log}[c.below(3)]
		for j := range 1 + c.below(3) {
			all[i].Policies = append(all[i].Policies, c.policy(j))
		}
	}
	return all
}

func (c *choices) facts() Facts {
	return Facts{Source: c.addr(), DirectSource: c.addr(), Destination: netip.AddrPortFrom(c.addr(), c.port()),
		ServerName: c.name(), ServerNameUnknown: c.below(8) == 1}
}

// checkAsReference compares on data, and tells what was decided; ok is false
// where the rules have problems.
func checkAsReference(t *testing.T, data []byte) (d Decision, ok bool) {
	c := choices{data}
	facts := c.facts()
	rules := c.rules()
	r, problems := Compile("rbac", rules)
	got := r.Decide(&facts)
	if problems != nil {
		if got.Allowed {
			t.Errorf("%+v have problems and allow %+v:\n%v", rules, facts, problems)
		}
		return got, false
	}
	want := referenceDecide(rules, &facts)
	if got != want {
		t.Errorf("%+v\n%+v\ngot  %+v\nwant %+v", rules, facts, got, want)
	}
	if lines := r.Explain(&facts); lines[len(lines)-1] != got.String() {
		t.Errorf("explained as %q", lines)
	}
	return got, true
}

func TestDecideAsReference(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	outcomes := make(map[string]int)
	for range 25_000 {
		data := make([]byte, 200)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		d, ok := checkAsReference(t, data)
		if t.Failed() {
			return
		}
		outcomes[fmt.Sprintf("ok %v, allowed %v, by a policy %v", ok, d.Allowed, d.Policy != "")]++
	}
	for _, each := range []string{
		"ok true, allowed true, by a policy true", "ok true, allowed true, by a policy false",
		"ok true, allowed false, by a policy true", "ok true, allowed false, by a policy false",
	} {
		if outcomes[each] < 500 {
			t.Errorf("%s: only %d times; the random rules no longer test it (%v)", each, outcomes[each], outcomes)
		}
	}
}

func FuzzDecideAsReference(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x05\x00\x00\x05\x00\x01\x06\x02\x03\x01\x01\x02\x03\x04\x05\x06\x07\x08\x05\x01\x02\x06\x03\x07\x05\x05"))
	f.Fuzz(func(t *testing.T, data []byte) { checkAsReference(t, data) })
}
