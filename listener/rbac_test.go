package listener

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/stats"
)

// namesAsked is a listener with two chains by port, of which only the first
// has an rbac that asks for server names, and a default chain that asks or not.
func namesAsked(t *testing.T, change func(*config.Listener)) *Listener {
	t.Helper()
	cfg := config.DefaultListener()
	cfg.Name, cfg.Address = "l", netip.MustParseAddrPort("127.0.0.1:1")
	cfg.ListenerFilters = []config.ListenerFilter{config.FilterTLS}
	asks := []config.RBAC{{Action: config.RBACDeny, Policies: []config.RBACPolicy{{Name: "bad", ServerNames: []string{"*.bad"}}}}}
	silent := []config.RBAC{{Action: config.RBACAllow, Policies: []config.RBACPolicy{{Name: "all", Any: true}}}}
	for i, rbac := range [][]config.RBAC{asks, silent, nil} {
		chain := config.DefaultFilterChain()
		chain.Match.DestinationPort, chain.RBAC = uint16(1000+i), rbac
		cfg.FilterChains = append(cfg.FilterChains, chain)
	}
	fallback := config.DefaultFilterChain()
	cfg.DefaultFilterChain = &fallback
	if change != nil {
		change(&cfg)
	}
	table, problems := NewTable([]config.Listener{cfg}, stats.NewRegistry())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return table.Listeners()[0]
}

func to(port uint16) Facts {
	return Facts{Destination: netip.AddrPortFrom(netip.MustParseAddr("10.4.0.5"), port), Source: netip.MustParseAddrPort("10.4.0.9:4000"), DirectSource: netip.MustParseAddr("10.4.0.9")}
}

func TestRBACAsksForNames(t *testing.T) {
	ln := namesAsked(t, nil)
	fallbackAsks := namesAsked(t, func(cfg *config.Listener) { cfg.DefaultFilterChain.RBAC = cfg.FilterChains[0].RBAC })
	for _, tc := range []struct {
		name string
		ln   *Listener
		port uint16
		want bool
	}{
		{"the chain's rbac asks", ln, 1000, true},
		{"it asks for no name", ln, 1001, false},
		{"no rbac", ln, 1002, false},
		{"default chain without", ln, 9999, false},
		{"default chain asks", fallbackAsks, 9999, true},
	} {
		f := to(tc.port)
		if got := tc.ln.NeedsInspection(&f); got != tc.want {
			t.Errorf("%s: needs inspection %v, want %v", tc.name, got, tc.want)
		}
		f.TransportProtocol = config.TransportRawBuffer
		if tc.ln.needs(&f).Any() {
			t.Errorf("%s: asks again after inspection", tc.name)
		}
	}
}

// What has not been read is not taken for a client that named nothing.
func TestNameKnown(t *testing.T) {
	hello := "\x16\x03\x01\x00\x02\x01\x00" // begins one
	for _, tc := range []struct {
		name, stream string
		expire       bool
		progress     Progress
		known        bool
	}{
		{"not TLS", "GET / HTTP/1.1\r\n", false, InspectionDone, true},
		{"silent", "", true, InspectionDone, false},
		{"broken hello", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", false, InspectionDone, false},
		{"begun hello", hello, true, InspectionFailed, false},
	} {
		in := namesAsked(t, nil).Inspect(to(1000))
		progress := in.Look([]byte(tc.stream), false, new(Scratch))
		if tc.expire {
			if progress != InspectionMore {
				t.Errorf("%s: progress %d, want to wait", tc.name, progress)
			}
			progress = in.Expire()
		}
		if progress != tc.progress || in.NameKnown != tc.known {
			t.Errorf("%s: progress %d, known %v, want %d, %v", tc.name, progress, in.NameKnown, tc.progress, tc.known)
		}
	}
}

// Rules that cannot hold are found where the table is made, in every chain.
func TestTableFindsBadRules(t *testing.T) {
	ten := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	never := []config.RBAC{{Action: config.RBACDeny, Policies: []config.RBACPolicy{{Name: "never", SourceIPs: ten, NotSourceIPs: ten}}}}
	cfg := config.DefaultListener()
	cfg.Address = netip.MustParseAddrPort("127.0.0.1:1")
	chain := config.DefaultFilterChain()
	chain.RBAC = never
	cfg.FilterChains, cfg.DefaultFilterChain = []config.FilterChain{chain}, &chain
	_, problems := NewTable([]config.Listener{cfg}, stats.NewRegistry())
	if len(problems) != 2 {
		t.Fatalf("problems are %v", problems)
	}
	for i, path := range []string{"listeners[0].filter_chains[0].rbac.policies[0].not_source_ips", "listeners[0].default_filter_chain.rbac.policies[0].not_source_ips"} {
		if problems[i].Path != path || !strings.Contains(problems[i].Message, "never matches") {
			t.Errorf("problem is %s: %s, want %s", problems[i].Path, problems[i].Message, path)
		}
	}
}
