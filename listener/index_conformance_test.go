package listener

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/conformance"
)

// envoyChain is a filter chain of testdata/conformance.
type envoyChain struct {
	Name  string                     `json:"name"`
	Match map[string]json.RawMessage `json:"match"`
}

type envoyConnection struct {
	DestinationIP   string `json:"destination_ip"`
	DestinationPort uint16 `json:"destination_port"`
	SourceIP        string `json:"source_ip"`
	SourcePort      uint16 `json:"source_port"`
	DirectSourceIP  string `json:"direct_source_ip"`

	ServerName           string                   `json:"server_name"`
	TransportProtocol    config.TransportProtocol `json:"transport_protocol"`
	ApplicationProtocols []string                 `json:"application_protocols"`
}

type envoyCase struct {
	ID         string          `json:"id"`
	SourceTest string          `json:"source_test"`
	Chains     []envoyChain    `json:"chains"`
	Default    *string         `json:"default_filter_chain"`
	Connection envoyConnection `json:"connection"`
	Expect     *string         `json:"expect"`
}

// chains translates the case's chains; an error is a malformed value.
func (c *envoyCase) chains(t *testing.T) ([]config.FilterChain, error) {
	var list []config.FilterChain
	for _, from := range c.Chains {
		var m config.Match
		for key, raw := range from.Match {
			var err error
			switch key {
			case "destination_port":
				err = json.Unmarshal(raw, &m.DestinationPort)
			case "prefix_ranges":
				err = json.Unmarshal(raw, &m.PrefixRanges)
			case "server_names":
				err = json.Unmarshal(raw, &m.ServerNames)
			case "transport_protocol":
				err = json.Unmarshal(raw, &m.TransportProtocol)
			case "application_protocols":
				err = json.Unmarshal(raw, &m.ApplicationProtocols)
			case "direct_source_prefix_ranges":
				err = json.Unmarshal(raw, &m.DirectSourcePrefixRanges)
			case "source_prefix_ranges":
				err = json.Unmarshal(raw, &m.SourcePrefixRanges)
			case "source_ports":
				err = json.Unmarshal(raw, &m.SourcePorts)
			case "source_type":
				if err = json.Unmarshal(raw, &m.SourceType); err == nil {
					m.SourceType = config.SourceType(strings.ToLower(string(m.SourceType)))
				}
			default:
				t.Fatalf("%s: criterion %s is not known", c.ID, key)
			}
			if err != nil {
				return nil, err
			}
		}
		list = append(list, chain(from.Name, m))
	}
	return normalised(list), nil
}

// facts translates the connection; Unix-domain addresses are unknown ones.
func (c *envoyConnection) facts() Facts {
	addr := func(text string) netip.Addr {
		a, _ := netip.ParseAddr(text)
		return a
	}
	return Facts{
		Destination:  netip.AddrPortFrom(addr(c.DestinationIP), c.DestinationPort),
		DirectSource: addr(c.DirectSourceIP),
		Source:       netip.AddrPortFrom(addr(c.SourceIP), c.SourcePort),

		ServerName:           c.ServerName,
		TransportProtocol:    c.TransportProtocol,
		ApplicationProtocols: c.ApplicationProtocols,
	}
}

func TestMatchAsEnvoy(t *testing.T) {
	for _, c := range conformance.Cases[envoyCase](t, "testdata/conformance/filter_chain_match.json") {
		t.Run(c.ID+"/"+c.SourceTest, func(t *testing.T) {
			chains, err := c.chains(t)
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if c.Expect != nil {
				want = *c.Expect
			}
			f := c.Connection.facts()
			got := ""
			if i := mustIndex(t, chains).Match(&f); i != NoMatch {
				got = chains[i].Name
			} else if c.Default != nil {
				got = *c.Default
			}
			if got != want {
				t.Errorf("chain %q, want %q", got, want)
			}
		})
	}
}

func TestConfigAsEnvoy(t *testing.T) {
	for _, c := range conformance.Cases[envoyCase](t, "testdata/conformance/filter_chain_config.json") {
		t.Run(c.ID+"/"+c.SourceTest, func(t *testing.T) {
			chains, err := c.chains(t)
			if err == nil {
				if problems := loadProblems(chains, c.Default != nil); len(problems) > 0 {
					err = problems
				}
			}
			if accepted := err == nil; accepted != (*c.Expect == "accept") {
				t.Errorf("error %v, want %s", err, *c.Expect)
			}
		})
	}
}

// loadProblems are those that a configuration with a listener of these chains
// has, found as the daemon finds them.
func loadProblems(chains []config.FilterChain, hasDefault bool) config.Problems {
	cfg := config.Default()
	cluster := config.DefaultCluster()
	cluster.Name = "c"
	l := config.DefaultListener()
	l.Name, l.Address, l.ListenerFilters = "l", netip.MustParseAddrPort("0.0.0.0:15006"), config.ListenerFilters()
	for _, ch := range chains {
		whole := config.DefaultFilterChain()
		whole.Name, whole.Match, whole.TCPProxy.Cluster = ch.Name, ch.Match, "c"
		l.FilterChains = append(l.FilterChains, whole)
	}
	if hasDefault {
		last := config.DefaultFilterChain()
		last.TCPProxy.Cluster = "c"
		l.DefaultFilterChain = &last
	}
	cfg.Listeners, cfg.Clusters = []config.Listener{l}, []config.Cluster{cluster}
	config.Normalize(&cfg)
	_, problems := NewIndex(cfg.Listeners[0].FilterChains, hasDefault)
	return append(problems, config.Validate(&cfg)...)
}
