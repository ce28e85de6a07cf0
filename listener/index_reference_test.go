package listener

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// referenceMatch chooses a chain the slow way, sentence by sentence from
// Envoy's documentation of FilterChainMatch
// (api/envoy/config/listener/v3/listener_components.proto): of the criteria in
// their order, each leaves only the chains with the most specific value that
// matches. It returns every chain that is left, after each criterion.
func referenceSteps(chains []config.FilterChain, f *Facts) [decided][]int {
	left := make([]int, len(chains))
	for i := range left {
		left[i] = i
	}
	match := func(i int) *config.Match { return &chains[i].Match }
	ranks := [decided]func(i int) int{
		func(i int) int { return portRank(listed(match(i).DestinationPort), f.Destination.Port()) },
		func(i int) int { return prefixRank(match(i).PrefixRanges, f.Destination.Addr()) },
		func(i int) int { return nameRank(match(i).ServerNames, strings.ToLower(f.ServerName)) },
		func(i int) int { return transportRank(match(i).TransportProtocol, f.TransportProtocol) },
		func(i int) int { return protocolRank(match(i).ApplicationProtocols, f.ApplicationProtocols) },
		func(i int) int { return prefixRank(match(i).DirectSourcePrefixRanges, f.DirectSource) },
		func(i int) int { return typeRank(match(i).SourceType, f) },
		func(i int) int { return prefixRank(match(i).SourcePrefixRanges, f.Source.Addr()) },
		func(i int) int { return portRank(match(i).SourcePorts, f.Source.Port()) },
	}
	var steps [decided][]int
	for at, rank := range ranks {
		left = best(left, rank)
		steps[at] = left
	}
	return steps
}

// best keeps the chains of the highest rank; a negative rank is no match.
func best(chains []int, rank func(int) int) []int {
	highest := 0
	var left []int
	for _, i := range chains {
		switch r := rank(i); {
		case r < highest:
		case r > highest:
			highest, left = r, []int{i}
		default:
			left = append(left, i)
		}
	}
	return left
}

func listed(port uint16) []uint16 {
	if port == 0 {
		return nil
	}
	return []uint16{port}
}

func portRank(list []uint16, port uint16) int {
	switch {
	case len(list) == 0:
		return 0
	case slices.Contains(list, port):
		return 1
	}
	return -1
}

func prefixRank(list []netip.Prefix, addr netip.Addr) int {
	if len(list) == 0 {
		return 0
	}
	rank := -1
	for _, p := range list {
		if p.Contains(addr.Unmap()) {
			rank = max(rank, p.Bits())
		}
	}
	return rank
}

// nameRank is the length of the longest name that fits; a whole one beats all.
func nameRank(list []string, name string) int {
	if len(list) == 0 {
		return 0
	}
	rank := -1
	for _, n := range list {
		suffix, wildcard := strings.CutPrefix(n, "*")
		switch {
		case !wildcard && n == name:
			return 1000
		case wildcard && strings.HasSuffix(name, suffix): // to Envoy also the suffix alone, if a client sends that
			rank = max(rank, len(suffix))
		}
	}
	return rank
}

func transportRank(want, got config.TransportProtocol) int {
	switch want {
	case "":
		return 0
	case got:
		return 1
	}
	return -1
}

// protocolRank is higher the earlier the client names one of the list.
func protocolRank(list, offered []string) int {
	if len(list) == 0 {
		return 0
	}
	for i, p := range offered {
		if slices.Contains(list, p) {
			return len(offered) - i
		}
	}
	return -1
}

func typeRank(t config.SourceType, f *Facts) int {
	source := f.Source.Addr().Unmap()
	isLocal := source.String() == "127.0.0.1" || source.String() == "::1" || source == f.Destination.Addr().Unmap()
	switch {
	case t == config.SourceAny:
		return 0
	case isLocal == (t == config.SourceLocal):
		return 1
	}
	return -1
}

// referenceOverlap tells whether two chains share a value of every criterion.
func referenceOverlap(a, b *config.Match) bool {
	whole := cidrs("0.0.0.0/0", "::/0")
	share := func(x, y []netip.Prefix) bool {
		if len(x) == 0 {
			x = whole
		}
		if len(y) == 0 {
			y = whole
		}
		return slices.ContainsFunc(x, func(p netip.Prefix) bool { return slices.Contains(y, p) })
	}
	shareText := func(x, y []string) bool {
		return len(x) == 0 && len(y) == 0 || slices.ContainsFunc(x, func(s string) bool { return slices.Contains(y, s) })
	}
	if !shareText(a.ServerNames, b.ServerNames) || a.TransportProtocol != b.TransportProtocol ||
		!shareText(a.ApplicationProtocols, b.ApplicationProtocols) {
		return false
	}
	samePorts := len(a.SourcePorts) == 0 && len(b.SourcePorts) == 0 ||
		slices.ContainsFunc(a.SourcePorts, func(p uint16) bool { return slices.Contains(b.SourcePorts, p) })
	return a.DestinationPort == b.DestinationPort && share(a.PrefixRanges, b.PrefixRanges) &&
		share(a.DirectSourcePrefixRanges, b.DirectSourcePrefixRanges) && a.SourceType == b.SourceType &&
		share(a.SourcePrefixRanges, b.SourcePrefixRanges) && samePorts
}

// universe makes chains and connections out of few values, so that they meet.
type universe struct{ r *rand.Rand }

func (u universe) addr() netip.Addr {
	texts := []string{"10.0.0.1", "10.0.0.2", "10.0.1.1", "10.128.0.1", "11.0.0.1", "127.0.0.1", "127.0.0.6", "0.0.0.0",
		"255.255.255.255", "::1", "fd00::1", "fd00::2", "fd00:0:0:1::1", "fe00::1", "::ffff:10.0.0.1", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}
	return netip.MustParseAddr(texts[u.r.IntN(len(texts))])
}

func (u universe) port() uint16 { return uint16(1 + u.r.IntN(4)) }

func (u universe) prefixes() []netip.Prefix {
	var list []netip.Prefix
	for range max(0, u.r.IntN(6)-2) {
		a := u.addr().Unmap()
		lengths := []int{0, 8, 9, 16, 24, 31, 32}
		if a.Is6() {
			lengths = []int{0, 7, 8, 63, 64, 65, 127, 128}
		}
		p := netip.PrefixFrom(a, lengths[u.r.IntN(len(lengths))]).Masked()
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

func namesToMatch() []string {
	return []string{"a.example", "b.example", "x.a.example", "*.example", "*.a.example", "*.x.a.example", "example", "*.b.a"}
}

func protocolsToMatch() []string { return []string{"h2", "http/1.1", "istio"} }

// some of a list, seldom all.
func (u universe) some(list []string) []string {
	var chosen []string
	for _, i := range u.r.Perm(len(list))[:u.r.IntN(3)] {
		chosen = append(chosen, list[i])
	}
	return chosen
}

// answers are what inspection may tell.
func (u universe) answers(f *Facts) {
	names := []string{"", "a.example", "A.Example", "b.example", "c.example", "x.a.example", "y.x.A.example", "example", ".example",
		"a.b.a", "b.a", "*.example", "x.example.", "..a.example", ".", "a..example", "a" + strings.Repeat(".a", 200) + ".example"}
	transports := append(config.TransportProtocols(), "")
	f.ServerName = names[u.r.IntN(len(names))]
	f.TransportProtocol = transports[u.r.IntN(len(transports))]
	f.ApplicationProtocols = u.some(append(protocolsToMatch(), "dummy"))
}

func (u universe) match() config.Match {
	m := config.Match{SourceType: config.SourceTypes()[u.r.IntN(3)]}
	if u.r.IntN(2) == 0 {
		m.DestinationPort = u.port()
	}
	switch u.r.IntN(5) { // seldom all of them: most connections should match something
	case 0:
		m.ServerNames = u.some(namesToMatch())
	case 1:
		m.TransportProtocol = config.TransportProtocols()[u.r.IntN(2)]
	case 2:
		m.ApplicationProtocols = u.some(protocolsToMatch())
	case 3:
		m.ServerNames, m.ApplicationProtocols = u.some(namesToMatch()), u.some(protocolsToMatch())
	}
	switch u.r.IntN(6) {
	case 0:
		m.PrefixRanges = u.prefixes()
	case 1:
		m.DirectSourcePrefixRanges = u.prefixes()
	case 2:
		m.SourcePrefixRanges = u.prefixes()
	case 3:
		m.PrefixRanges, m.SourcePrefixRanges = u.prefixes(), u.prefixes()
	}
	for range max(0, u.r.IntN(5)-2) {
		if port := u.port(); !slices.Contains(m.SourcePorts, port) {
			m.SourcePorts = append(m.SourcePorts, port)
		}
	}
	return m
}

func (u universe) facts() Facts {
	f := Facts{Destination: netip.AddrPortFrom(u.addr(), u.port()), Source: netip.AddrPortFrom(u.addr(), u.port())}
	f.DirectSource = f.Source.Addr()
	if u.r.IntN(3) == 0 {
		f.DirectSource = u.addr()
	}
	u.answers(&f)
	return f
}

// check compares index and reference: each chain is added when the reference
// finds no overlap with those before, and must be refused otherwise.
func check(t *testing.T, u universe) (matched int) {
	var chains []config.FilterChain
	for range u.r.IntN(24) {
		next := chain("", u.match())
		overlaps := slices.ContainsFunc(chains, func(c config.FilterChain) bool { return referenceOverlap(&c.Match, &next.Match) })
		longer := append(slices.Clone(chains), next)
		if _, problems := NewIndex(longer, true); (len(problems) > 0) != overlaps {
			t.Fatalf("problems %v, but overlap is %v among %+v", problems, overlaps, longer)
		}
		if !overlaps {
			chains = longer
		}
	}
	x := mustIndex(t, chains)
	tracer := newTracer(x)
	for range 200 {
		f := u.facts()
		want := NoMatch
		steps := referenceSteps(chains, &f)
		if left := steps[decided-1]; len(left) == 1 {
			want = left[0]
			matched++
		} else if len(left) > 1 {
			t.Fatalf("the reference leaves %v for %+v among %+v", left, f, chains)
		}
		if got := x.Match(&f); got != want {
			t.Fatalf("chain %d, want %d, for %+v among %+v", got, want, f, chains)
		}
		checkNeeds(t, u, x, f)
		checkTrace(t, tracer, &f, steps)
	}
	return matched
}

// checkTrace wants each step of a search to leave what the reference leaves, and
// to end where Match does.
func checkTrace(t *testing.T, tracer *tracer, f *Facts, want [decided][]int) {
	t.Helper()
	got, steps := tracer.trace(f)
	if match := tracer.index.Match(f); got != match {
		t.Fatalf("the trace of %+v ends at %d, and Match at %d", f, got, match)
	}
	count := len(tracer.index.chains)
	for _, s := range steps {
		at := destinationPort
		for at.String() != s.Criterion {
			at++
		}
		if !slices.Equal(s.Remaining, want[at]) {
			t.Fatalf("%s leaves %v of %+v, want %v, among %+v", s.Criterion, s.Remaining, f, want[at], tracer.index.chains)
		}
		if len(s.Remaining)+len(s.Excluded) != count {
			t.Fatalf("%s leaves %v and excludes %v of %d", s.Criterion, s.Remaining, s.Excluded, count)
		}
		count = len(s.Remaining)
	}
}

// checkNeeds answers what is not needed in many ways: nothing may change.
func checkNeeds(t *testing.T, u universe, x *Index, f Facts) {
	t.Helper()
	before := f
	before.ServerName, before.TransportProtocol, before.ApplicationProtocols = "", "", nil
	needs := x.Needs(&before)
	for range 5 {
		other := f
		u.answers(&other)
		if needs.ServerName {
			other.ServerName = f.ServerName
		}
		if needs.TransportProtocol {
			other.TransportProtocol = f.TransportProtocol
		}
		if needs.ApplicationProtocols {
			other.ApplicationProtocols = f.ApplicationProtocols
		}
		if got, want := x.Match(&other), x.Match(&f); got != want {
			t.Fatalf("%+v goes to %d and %+v to %d, but only %+v is needed", f, want, other, got, needs)
		}
	}
	if f.TransportProtocol == "" {
		return
	}
	before.ServerName, before.TransportProtocol = f.ServerName, f.TransportProtocol
	if left := x.Needs(&before); !left.ApplicationProtocols && f.TransportProtocol == config.TransportRawBuffer && x.Match(&before) != x.Match(&f) {
		t.Fatalf("application protocols decide about %+v, but are not needed", f)
	}
}

func TestMatchAsReference(t *testing.T) {
	matched := 0
	for seed := range uint64(1000) {
		matched += check(t, universe{rand.New(rand.NewPCG(seed, 1))})
	}
	t.Logf("%d of %d connections found a chain", matched, 1000*200)
	if matched < 10000 {
		t.Error("hardly any connection found a chain: the test proves little")
	}
}

func FuzzMatchAsReference(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		check(t, universe{rand.New(rand.NewPCG(a, b))})
	})
}
