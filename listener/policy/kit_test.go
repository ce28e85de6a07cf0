package policy

import (
	"net/netip"
	"testing"
)

func prefixes(t testing.TB, texts ...string) []netip.Prefix {
	t.Helper()
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = p
	}
	return out
}

// compile makes rules that must be right.
func compile(t testing.TB, rules ...Rules) *RBAC {
	t.Helper()
	r, problems := Compile("rbac", rules)
	if problems != nil {
		t.Fatal(problems)
	}
	return r
}

// someFacts are those of a connection in full.
func someFacts() Facts {
	return Facts{
		Source:       netip.MustParseAddr("10.4.1.2"),
		DirectSource: netip.MustParseAddr("10.9.0.1"),
		Destination:  netip.MustParseAddrPort("10.4.7.7:9080"),
		ServerName:   "reviews.example",
	}
}
