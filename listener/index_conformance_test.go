package listener

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// envoyChain is a filter chain of testdata/conformance. Later collects the
// criteria that the index does not have yet.
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
}

type envoyCase struct {
	ID         string          `json:"id"`
	SourceTest string          `json:"source_test"`
	Chains     []envoyChain    `json:"chains"`
	Default    *string         `json:"default_filter_chain"`
	Connection envoyConnection `json:"connection"`
	Expect     *string         `json:"expect"`
}

func envoyCases(t *testing.T, file string) []envoyCase {
	t.Helper()
	text, err := os.ReadFile("testdata/conformance/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Cases []envoyCase `json:"cases"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(all.Cases) == 0 {
		t.Fatalf("%s has no cases", file)
	}
	return all.Cases
}

// later tells whether the case uses a criterion that comes with issue 4.
func (c *envoyCase) later() bool {
	for _, ch := range c.Chains {
		for _, key := range []string{"server_names", "transport_protocol", "application_protocols"} {
			if _, ok := ch.Match[key]; ok {
				return true
			}
		}
	}
	return false
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
	}
}

func TestMatchAsEnvoy(t *testing.T) {
	run, later := 0, 0
	for _, c := range envoyCases(t, "filter_chain_match.json") {
		if c.later() {
			later++
			continue
		}
		run++
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
	t.Logf("%d cases run; %d use server_names, transport_protocol or application_protocols and come with issue 4", run, later)
}

func TestConfigAsEnvoy(t *testing.T) {
	run, later := 0, 0
	for _, c := range envoyCases(t, "filter_chain_config.json") {
		if c.later() {
			later++
			continue
		}
		run++
		t.Run(c.ID+"/"+c.SourceTest, func(t *testing.T) {
			chains, err := c.chains(t)
			if err == nil {
				if _, problems := NewIndex(chains, c.Default != nil); len(problems) > 0 {
					err = problems
				}
			}
			if accepted := err == nil; accepted != (*c.Expect == "accept") {
				t.Errorf("error %v, want %s", err, *c.Expect)
			}
		})
	}
	t.Logf("%d cases run; %d use server_names, transport_protocol or application_protocols and come with issue 4", run, later)
}
