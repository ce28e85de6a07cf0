package explain

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/config/native"
)

// inbound has a chain for each way that an answer can end.
const inbound = `
listeners:
- name: in
  address: 0.0.0.0:15006
  interception_mode: redirect
  use_original_dst: true
  filter_chains:
  - {name: plain, match: {destination_port: 80}, tcp_proxy: {cluster: weighted}}
  - {name: both, match: {destination_port: 81}, tcp_proxy: {weighted_clusters: [{name: weighted, weight: 3}, {name: empty, weight: 1}]}}
  - {name: nowhere, match: {destination_port: 82}, tcp_proxy: {cluster: empty}}
- name: names
  address: 10.0.0.7:443
  bind: false
  listener_filters: [proxy_protocol, tls_inspector]
  listener_filters_timeout: 0s
  filter_chains:
  - {name: all, tcp_proxy: {cluster: weighted}}
  - {name: some, match: {server_names: ["*.example"], source_ports: [1]}, tcp_proxy: {cluster: weighted}}
clusters:
- name: weighted
  type: static
  endpoints:
  - {address: 10.1.0.1:80, weight: 2}
  - {address: 10.1.0.2:80, weight: 1}
- {name: empty, type: static}
`

func inboundTables(t *testing.T) *Tables {
	t.Helper()
	loaded, err := native.Parse("inbound.yaml", []byte(inbound), native.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := NewTables(loaded.Config)
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

type answerCase struct {
	name     string
	question Question
	listener string
	verdict  Verdict
	chain    string
	cluster  string
	flags    string
	reason   string // begins with
	inspect  Inspected
	step     string // one has this
}

func from(listener, destination string) Question {
	return Question{Listener: listener, Source: netip.MustParseAddrPort("10.0.0.9:40000"), Destination: netip.MustParseAddrPort(destination)}
}

func (q Question) with(change func(*Question)) Question {
	change(&q)
	return q
}

func TestExplain(t *testing.T) {
	tables := inboundTables(t)
	named := from("in", "10.0.0.7:443").with(func(q *Question) { q.ServerName = "A.Example" })
	for _, c := range []answerCase{
		{name: "forward", question: from("in", "10.0.0.8:80"), listener: "in", verdict: Forward, chain: "plain", cluster: "weighted",
			reason: "filter chain plain takes it", inspect: Done, step: "in keeps it"},
		{name: "weighted", question: from("in", "10.0.0.8:81"), listener: "in", verdict: Forward, chain: "both", cluster: "weighted,empty",
			reason: "filter chain both", inspect: Done, step: "cluster empty: has no endpoint"},
		{name: "no endpoint", question: from("in", "10.0.0.8:82"), listener: "in", verdict: Close, chain: "nowhere", cluster: "empty", flags: "UH",
			reason: "connect_failed: cluster empty has no endpoint", inspect: Done},
		{name: "no chain", question: from("in", "10.0.0.8:83"), listener: "in", verdict: Close, flags: "NR",
			reason: "no_filter_chain: ", inspect: Done, step: "destination_port 83 (no chain has it): no chain remains"},
		{name: "loop", question: from("in", "127.0.0.1:15006"), listener: "in", verdict: Close,
			reason: "loop_guard: 127.0.0.1:15006", inspect: Done},
		{name: "perhaps a loop", question: from("in", "10.0.0.8:15006"), listener: "in", verdict: Close, flags: "NR",
			reason: "no_filter_chain", inspect: Done, step: "loop guard: port 15006"},
		{name: "handed over", question: named, listener: "names", verdict: Close, flags: "NR", inspect: Done,
			reason: "no_filter_chain: no filter chain takes it, and there is no default_filter_chain; all would fit, but",
			step:   "hands over to names, whose address is 10.0.0.7:443"},
		{name: "IPv4 in IPv6 form", question: from("in", "[::ffff:10.0.0.7]:443").with(func(q *Question) { q.TransportProtocol = config.TransportRawBuffer }),
			listener: "names", verdict: Forward, chain: "all", cluster: "weighted", reason: "filter chain all", inspect: Done, step: "hands over to names"},
		{name: "waits for ever", question: from("in", "10.0.0.7:443"), listener: "names", verdict: Close,
			reason: "inspection_failed: proxy_protocol waits", inspect: NeedMore, step: "proxy_protocol: needs more than 0 bytes"},
		{name: "waits for ever for a ClientHello", listener: "names", verdict: Close, inspect: NeedMore,
			question: from("in", "10.0.0.7:443").with(func(q *Question) { q.Payload = []byte("PROXY UNKNOWN\r\n\x16\x03") }),
			reason:   "inspection_failed: tls_inspector waits", step: "tls_inspector: needs more than 17 bytes of payload, because chains that can still take the connection ask for server_names"},
		{name: "malformed header", question: from("in", "10.0.0.7:443").with(func(q *Question) { q.Payload = []byte("PROXY TCP4 x\r\n") }),
			listener: "names", verdict: Close, reason: "inspection_failed: ", inspect: Failed, step: "proxy_protocol: "},
		{name: "a header that leads to ourselves", listener: "names", verdict: Close, inspect: Done,
			question: from("in", "10.0.0.7:443").with(func(q *Question) {
				q.Payload, q.TransportProtocol = []byte("PROXY TCP4 1.2.3.4 127.0.0.1 5 15006\r\n"), config.TransportRawBuffer
			}), reason: "loop_guard: 127.0.0.1:15006", step: "proxy_protocol: v1 header of 38 bytes: from 1.2.3.4:5 to 127.0.0.1:15006"},
		{name: "header and given facts", listener: "names", verdict: Forward, chain: "some", cluster: "weighted", inspect: Done,
			question: from("in", "10.0.0.7:443").with(func(q *Question) {
				q.Payload, q.ServerName = []byte("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), "a.example"
			}), reason: "filter chain some", step: "server_names a.example (fits *.example): 1 of 2 chains remains"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := tables.Explain(c.question)
			if err != nil {
				t.Fatal(err)
			}
			if a.Listener != c.listener || a.Verdict != c.verdict || a.FilterChain != c.chain || a.Cluster != c.cluster ||
				a.ResponseFlags != c.flags || a.Detected.Inspection != c.inspect || !strings.HasPrefix(a.Reason, c.reason) {
				t.Errorf("%+v, want %+v", a, c)
			}
			if !slices.ContainsFunc(a.Steps, func(s Step) bool { return strings.Contains(s.Text, c.step) }) && c.step != "" {
				t.Errorf("no step has %q\n%s", c.step, a.Text())
			}
			if (len(a.Endpoints) > 0) != (c.verdict == Forward) {
				t.Errorf("endpoints %v", a.Endpoints)
			}
		})
	}
}

func TestTimedOut(t *testing.T) {
	tables := mustLoad(t, object{
		"listener_filters":                     []string{"tls_inspector"},
		"continue_on_listener_filters_timeout": true,
		"filter_chains": []object{
			{"name": "raw", "match": object{"transport_protocol": "raw_buffer"}, "tcp_proxy": object{"cluster": "c"}},
		},
	})
	silent := from("l", "10.0.0.8:80").with(func(q *Question) { q.TimedOut = true })
	if a := ask(t, tables, silent); a.Detected.Inspection != TimedOut || a.Verdict != Forward || a.FilterChain != "raw" {
		t.Errorf("silent: %+v", a)
	}
	begun := silent.with(func(q *Question) { q.Payload = []byte("\x16\x03\x01") })
	if a := ask(t, tables, begun); a.Detected.Inspection != TimedOut || a.Verdict != Close {
		t.Errorf("a ClientHello that does not end: %+v", a)
	}
}

func TestShares(t *testing.T) {
	a, err := inboundTables(t).Explain(from("in", "10.0.0.8:81"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Endpoint{
		{Address: "10.1.0.1:80", Percent: 50, Health: "healthy", cluster: "weighted"},
		{Address: "10.1.0.2:80", Percent: 25, Health: "healthy", cluster: "weighted"},
	}
	if !slices.Equal(a.Endpoints, want) {
		t.Errorf("%+v, want %+v", a.Endpoints, want)
	}
	if clusters := []Share{{"weighted", 75}, {"empty", 25}}; !slices.Equal(a.WeightedClusters, clusters) {
		t.Errorf("%+v, want %+v", a.WeightedClusters, clusters)
	}
}

type rbacCase struct {
	name    string
	rules   string // YAML
	payload string
	verdict Verdict
	reason  string // begins with
	step    string // one has this
}

func TestRBAC(t *testing.T) {
	const bad = `[{action: deny, policies: [{name: names, server_names: ["*.bad"]}]}]`
	for _, c := range []rbacCase{
		{"allowed", `{action: allow, policies: [{name: friends, source_ips: [10.0.0.9/32]}]}`, "", Forward,
			"filter chain chain-0", `rbac: allowed by policy "friends"`},
		{"denied", `{action: deny, policies: [{name: foes, source_ips: [10.0.0.9/32]}]}`, "", Close,
			"rbac_denied: rbac_access_denied_matched_policy[foes]", `rbac deny policy "foes": matches`},
		{"nobody allows", `{action: allow, policies: [{name: others, not_source_ips: [10.0.0.9/32]}]}`, "", Close,
			"rbac_denied: rbac_access_denied_matched_policy[none]", "because of not_source_ips"},
		{"only rbac asks for the name", bad, "", Close, "rbac_denied: ", "ask for server_names"},
		{"no name, as it is not TLS", bad, "GET /", Forward, "filter chain", "tls_inspector: not TLS"},
		{"a name that cannot be read", bad, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", Close, "rbac_denied: ", "server_names asks is not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.ReplaceAll(inbound, "{name: plain, match: {destination_port: 80},", "{match: {destination_port: 80}, rbac: "+c.rules+",")
			text = strings.Replace(text, "interception_mode: redirect", "interception_mode: redirect\n  listener_filters: [tls_inspector]", 1)
			loaded, err := native.Parse("rbac.yaml", []byte(text), native.Options{})
			if err != nil {
				t.Fatal(err)
			}
			tables, err := NewTables(loaded.Config)
			if err != nil {
				t.Fatal(err)
			}
			a, err := tables.Explain(from("in", "10.0.0.8:80").with(func(q *Question) { q.Payload = []byte(c.payload) }))
			if err != nil {
				t.Fatal(err)
			}
			if a.Verdict != c.verdict || !strings.HasPrefix(a.Reason, c.reason) || a.FilterChain != "chain-0" {
				t.Errorf("%s: %s, chain %s", a.Verdict, a.Reason, a.FilterChain)
			}
			if !strings.Contains(a.Text(), c.step) {
				t.Errorf("no step has %s\n%s", c.step, a.Text())
			}
		})
	}
}

func TestQuestionErrors(t *testing.T) {
	tables := inboundTables(t)
	for part, q := range map[string]Question{
		"listener": from("out", "10.0.0.8:80"),
		"sni":      from("in", "10.0.0.8:80").with(func(q *Question) { q.ServerName, q.TransportProtocol = "a", config.TransportRawBuffer }),
	} {
		_, err := tables.Explain(q)
		var wrong *QuestionError
		if !errors.As(err, &wrong) || wrong.Part != part {
			t.Errorf("%v, want an error about %s", err, part)
		}
	}
}

// What a client sends must not look like a line of ours, of which there is one,
// nor fill the screen.
func TestClientTextIsTame(t *testing.T) {
	q := from("in", "10.0.0.7:443").with(func(q *Question) { q.ServerName = "x\nverdict  forward\x1b[2J" + strings.Repeat("a", 70000) })
	a, err := inboundTables(t).Explain(q)
	if err != nil {
		t.Fatal(err)
	}
	if text := a.Text(); strings.Count(text, "\nverdict  forward") != 1 || strings.Contains(text, "\x1b") || len(text) > 3000 {
		t.Errorf("%d bytes: %.300s", len(text), text)
	}
	for _, s := range a.Steps {
		if len(s.Text) > 600 {
			t.Errorf("a step of %d bytes", len(s.Text))
		}
	}
}

// TestKeys holds the JSON to the names that other programs rely on; what is
// unknown is empty, never missing.
func TestKeys(t *testing.T) {
	a, err := inboundTables(t).Explain(from("in", "10.0.0.8:83"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"listener":"in","verdict":"close","filter_chain":"","cluster":"",` +
		`"detected":{"transport_protocol":"","server_name":"","application_protocols":[],"source":"10.0.0.9:40000","destination":"10.0.0.8:83",` +
		`"direct_source":"10.0.0.9","proxy_protocol":"","inspection":"done","payload_offset":0},"response_flags":"NR",` +
		`"reason":"no_filter_chain: no filter chain takes it, and there is no default_filter_chain","steps":[` +
		`"use_original_dst: no other listener has the address 10.0.0.8:83, or the wildcard address with port 83; in keeps it",` +
		`"destination_port 83 (no chain has it): no chain remains; excluded: plain, both, nowhere"],"endpoints":[]}`
	if string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}
