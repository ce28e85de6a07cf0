package explain

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/config/native"
	"github.com/sluiceproxy/sluice/internal/conformance"
)

// object is a mapping of a configuration: JSON is YAML too.
type object = map[string]any

// load makes the tables of a listener l with one cluster, as a file would.
func load(listener object) (*Tables, error) {
	listener["name"], listener["address"] = "l", "0.0.0.0:8443"
	text, err := json.Marshal(object{
		"listeners": []object{listener},
		"clusters":  []object{{"name": "c", "type": "original_dst"}},
	})
	if err != nil {
		return nil, err
	}
	loaded, err := native.Parse("case.yaml", text, native.Options{})
	if err != nil {
		return nil, err
	}
	return NewTables(loaded.Config)
}

func mustLoad(t *testing.T, listener object) *Tables {
	t.Helper()
	tables, err := load(listener)
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

func ask(t *testing.T, tables *Tables, q Question) *Answer {
	t.Helper()
	q.Listener = "l"
	a, err := tables.Explain(q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type chainCase struct {
	ID     string `json:"id"`
	Test   string `json:"source_test"`
	Chains []struct {
		Name  string `json:"name"`
		Match object `json:"match"`
	} `json:"chains"`
	Default    *string `json:"default_filter_chain"`
	Connection struct {
		DestinationIP   string `json:"destination_ip"`
		DestinationPort uint16 `json:"destination_port"`
		SourceIP        string `json:"source_ip"`
		SourcePort      uint16 `json:"source_port"`
		DirectSourceIP  string `json:"direct_source_ip"`

		ServerName           string   `json:"server_name"`
		TransportProtocol    string   `json:"transport_protocol"`
		ApplicationProtocols []string `json:"application_protocols"`
	} `json:"connection"`
	Expect *string `json:"expect"`
}

func (c *chainCase) listener() object {
	to := object{"cluster": "c"}
	var chains []object
	for _, chain := range c.Chains {
		if text, ok := chain.Match["source_type"].(string); ok {
			chain.Match["source_type"] = strings.ToLower(text)
		}
		chains = append(chains, object{"name": chain.Name, "match": chain.Match, "tcp_proxy": to})
	}
	l := object{"filter_chains": chains, "listener_filters": []string{"tls_inspector", "http_inspector"}}
	if c.Default != nil {
		l["default_filter_chain"] = object{"name": *c.Default, "tcp_proxy": to}
	}
	return l
}

// question is the connection; a Unix-domain address is an unknown one.
func (c *chainCase) question() Question {
	address := func(text string) netip.Addr {
		a, _ := netip.ParseAddr(text)
		return a
	}
	from := &c.Connection
	return Question{
		Destination:          netip.AddrPortFrom(address(from.DestinationIP), from.DestinationPort),
		Source:               netip.AddrPortFrom(address(from.SourceIP), from.SourcePort),
		DirectSource:         address(from.DirectSourceIP),
		ServerName:           from.ServerName,
		TransportProtocol:    config.TransportProtocol(from.TransportProtocol),
		ApplicationProtocols: from.ApplicationProtocols,
	}
}

func TestFilterChainMatchAsEnvoy(t *testing.T) {
	for _, c := range conformance.Cases[chainCase](t, "../testdata/conformance/filter_chain_match.json") {
		t.Run(c.ID+"/"+c.Test, func(t *testing.T) {
			want := ""
			if c.Expect != nil {
				want = *c.Expect
			}
			a := ask(t, mustLoad(t, c.listener()), c.question())
			if a.FilterChain != want {
				t.Errorf("chain %q, want %q\n%s", a.FilterChain, want, a.Text())
			}
			if want == "" && (a.Verdict != Close || a.ResponseFlags != "NR") {
				t.Errorf("no chain, and the verdict is %s with flags %q", a.Verdict, a.ResponseFlags)
			}
		})
	}
}

func TestFilterChainConfigAsEnvoy(t *testing.T) {
	for _, c := range conformance.Cases[chainCase](t, "../testdata/conformance/filter_chain_config.json") {
		t.Run(c.ID+"/"+c.Test, func(t *testing.T) {
			_, err := load(c.listener())
			if accepted := err == nil; accepted != (*c.Expect == "accept") {
				t.Errorf("error %v, want %s", err, *c.Expect)
			}
		})
	}
}

type httpCase struct {
	ID        string  `json:"id"`
	Test      string  `json:"source_test"`
	Hex       string  `json:"bytes_hex"`
	Build     [][]any `json:"bytes_build"`
	Transport string  `json:"detected_transport_protocol"`
	Expect    string  `json:"expect"`
}

func (c *httpCase) payload(t *testing.T) []byte {
	payload := unhex(t, c.Hex)
	for _, part := range c.Build {
		count := 1.0
		if part[0] == "repeat" {
			count = part[2].(float64)
		}
		payload = append(payload, strings.Repeat(part[1].(string), int(count))...)
	}
	return payload
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inspected sums an answer up as http_inspector.json does.
func inspected(a *Answer) string {
	protocols := a.Detected.ApplicationProtocols
	switch {
	case a.Detected.Inspection == Failed && a.Verdict == Close:
		return "close_read_error"
	case a.Detected.Inspection != Done:
		return string(a.Detected.Inspection)
	case len(protocols) == 1:
		return protocols[0]
	case slices.ContainsFunc(a.Steps, func(s Step) bool { return strings.HasPrefix(s.Text, "http_inspector: does not look") }):
		return "skipped"
	}
	return "not_http"
}

func TestHTTPInspectorAsEnvoy(t *testing.T) {
	var chains []object
	for _, protocol := range []string{"http/1.0", "http/1.1", "h2c"} {
		chains = append(chains, object{
			"name": protocol, "match": object{"application_protocols": []string{protocol}}, "tcp_proxy": object{"cluster": "c"},
		})
	}
	tables := mustLoad(t, object{"filter_chains": chains, "listener_filters": []string{"http_inspector"}})
	for _, c := range conformance.Cases[httpCase](t, "../inspect/testdata/conformance/http_inspector.json") {
		t.Run(c.ID+"/"+c.Test, func(t *testing.T) {
			a := ask(t, tables, Question{
				Source:            netip.MustParseAddrPort("10.4.9.9:40000"),
				Destination:       netip.MustParseAddrPort("10.4.0.5:9080"),
				TransportProtocol: config.TransportProtocol(c.Transport),
				Payload:           c.payload(t),
			})
			if got := inspected(a); got != c.Expect {
				t.Errorf("%s, want %s\n%s", got, c.Expect, a.Text())
			}
			if found := strings.HasPrefix(c.Expect, "h"); found && a.FilterChain != c.Expect {
				t.Errorf("chain %q, want %q", a.FilterChain, c.Expect)
			}
		})
	}
}

type proxyCase struct {
	ID     string `json:"id"`
	Test   string `json:"source_test"`
	Config struct {
		Allow      bool     `json:"allow_requests_without_proxy_protocol"`
		Disallowed []string `json:"disallowed_versions"`
	} `json:"config"`
	Chunks []string `json:"chunks_hex"`
	Expect struct {
		Result      string `json:"result"`
		Version     string `json:"version"`
		Source      string `json:"src"`
		Destination string `json:"dst"`
		Payload     string `json:"payload_hex"`
	} `json:"expect"`
}

// passed tells whether a header of a disallowed version is passed on untouched,
// which sluice never does: docs/filter-chains.md says why.
func (c *proxyCase) passed(t *testing.T) bool {
	payload := string(unhex(t, strings.Join(c.Chunks, "")))
	return c.Expect.Result == "pass_through" && len(c.Config.Disallowed) > 0 &&
		(strings.HasPrefix(payload, "PROXY ") || strings.HasPrefix(payload, "\r\n\r\n\x00\r\nQUIT\n"))
}

func TestProxyProtocolAsEnvoy(t *testing.T) {
	const peer, local = "203.0.113.9:40000", "192.0.2.7:8080"
	deviations := 0
	for _, c := range conformance.Cases[proxyCase](t, "../inspect/testdata/conformance/proxy_protocol.json") {
		t.Run(c.ID+"/"+c.Test, func(t *testing.T) {
			tables := mustLoad(t, object{
				"listener_filters": []string{"proxy_protocol"},
				"proxy_protocol": object{
					"allow_requests_without_proxy_protocol": c.Config.Allow,
					"disallowed_versions":                   c.Config.Disallowed,
				},
				"default_filter_chain": object{"tcp_proxy": object{"cluster": "c"}},
			})
			payload := unhex(t, strings.Join(c.Chunks, ""))
			a := ask(t, tables, Question{
				Source:      netip.MustParseAddrPort(peer),
				Destination: netip.MustParseAddrPort(local),
				Payload:     payload,
			})
			d := &a.Detected
			want := fmt.Sprint(Done, Forward)
			switch {
			case c.passed(t):
				deviations++
				want = fmt.Sprint(Failed, Close)
			case c.Expect.Result == "close":
				want = fmt.Sprint(Failed, Close)
			case c.Expect.Result == "need_more":
				want = fmt.Sprint(NeedMore, Close)
			}
			if got := fmt.Sprint(d.Inspection, a.Verdict); got != want {
				t.Fatalf("%s, want %s\n%s", got, want, a.Text())
			}
			if a.Verdict == Close {
				return
			}
			from := strings.NewReplacer("peer", peer, "local", local)
			if c.Expect.Result == "pass_through" {
				c.Expect.Source, c.Expect.Destination = "peer", "local"
			}
			if d.Source != from.Replace(c.Expect.Source) || d.Destination != from.Replace(c.Expect.Destination) {
				t.Errorf("from %s to %s, want %s to %s", d.Source, d.Destination, c.Expect.Source, c.Expect.Destination)
			}
			if d.ProxyProtocol != c.Expect.Version {
				t.Errorf("version %q, want %q", d.ProxyProtocol, c.Expect.Version)
			}
			if rest := hex.EncodeToString(payload[d.PayloadOffset:]); rest != c.Expect.Payload {
				t.Errorf("payload %s, want %s", rest, c.Expect.Payload)
			}
		})
	}
	if deviations != 4 {
		t.Errorf("%d deviations, docs/filter-chains.md lists 4", deviations)
	}
}
