package inspect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluiceproxy/sluice/internal/conformance"
)

// proxyConformance is a case of testdata/conformance/proxy_protocol.json.
type proxyConformance struct {
	ID     string `json:"id"`
	Test   string `json:"source_test"`
	Config struct {
		Allow      bool     `json:"allow_requests_without_proxy_protocol"`
		Disallowed []string `json:"disallowed_versions"`
		Rules      []struct {
			Type uint8  `json:"tlv_type"`
			Key  string `json:"key"`
		} `json:"tlv_rules"`
	} `json:"config"`
	Chunks []string `json:"chunks_hex"`
	Expect struct {
		Result      string            `json:"result"`
		Version     string            `json:"version"`
		Source      string            `json:"src"`
		Destination string            `json:"dst"`
		Restored    bool              `json:"local_restored"`
		Payload     string            `json:"payload_hex"`
		Stat        string            `json:"stat"`
		Metadata    map[string]string `json:"metadata"`
		TLVs        [][2]string       `json:"tlvs"`
	} `json:"expect"`
}

// decide is what a listener makes of an answer: the result and the counter.
func (c *proxyConformance) decide(p *ProxyHeader, v Verdict) (result, stat string) {
	version := fmt.Sprintf("v%d", p.Version)
	found := "versions." + version
	disallowed := slices.Contains(c.Config.Disallowed, version)
	switch {
	case c.Config.Allow && (v.State == Foreign || disallowed):
		return "pass_through", "not_found_allowed"
	case disallowed:
		return "close", found + ".disallowed"
	case v.State == More:
		return "need_more", ""
	case v.State == Done:
		return "accept", found + ".found"
	case v.State == Foreign || v.Reason == LongLine:
		return "close", "not_found_disallowed"
	}
	return "close", found + ".error"
}

// TestProxyConformance is how Envoy decides, with the options of its
// proxy_protocol filter applied as a listener has to.
func TestProxyConformance(t *testing.T) {
	for _, c := range conformance.Cases[proxyConformance](t, "testdata/conformance/proxy_protocol.json") {
		t.Run(c.ID+" "+c.Test, func(t *testing.T) {
			stream := unhex(t, strings.Join(c.Chunks, ""))
			var p ProxyHeader
			v := feed(t, stream, limit, func(b []byte) Verdict { return p.Parse(b, limit) })
			var result, stat string
			for n, i := 0, 0; i < len(c.Chunks) && (i == 0 || result == "need_more"); i++ {
				n += len(c.Chunks[i]) / 2
				result, stat = c.decide(&p, p.Parse(stream[:n:n], limit))
			}
			if result != c.Expect.Result || stat != c.Expect.Stat {
				t.Fatalf("%s %s, want %s %s", result, stat, c.Expect.Result, c.Expect.Stat)
			}
			if result == "accept" {
				p.Parse(stream, limit)
				c.compare(t, &p, stream[v.Bytes:])
			}
		})
	}
}

// compare checks what an accepted header says.
func (c *proxyConformance) compare(t *testing.T, p *ProxyHeader, payload []byte) {
	source, destination := "peer", "local"
	if !p.Local {
		source, destination = p.Source.String(), p.Destination.String()
	}
	if source != c.Expect.Source || destination != c.Expect.Destination || p.Local == c.Expect.Restored {
		t.Errorf("%s to %s, want %s to %s", source, destination, c.Expect.Source, c.Expect.Destination)
	}
	if version := fmt.Sprintf("v%d", p.Version); version != c.Expect.Version {
		t.Errorf("version %s, want %s", version, c.Expect.Version)
	}
	if fmt.Sprintf("%x", payload) != c.Expect.Payload {
		t.Errorf("payload %x, want %s", payload, c.Expect.Payload)
	}
	for _, rule := range c.Config.Rules {
		value, _ := p.TLVs.Get(rule.Type)
		if got := fmt.Sprintf("%x", printable(value)); got != c.Expect.Metadata[rule.Key] {
			t.Errorf("%s is %s, want %s", rule.Key, got, c.Expect.Metadata[rule.Key])
		}
	}
	if c.Expect.TLVs == nil {
		return
	}
	var all [][2]string
	for kind, value := range p.TLVs.All() {
		all = append(all, [2]string{fmt.Sprintf("%02x", kind), fmt.Sprintf("%x", value)})
	}
	if !slices.Equal(all, c.Expect.TLVs) {
		t.Errorf("TLVs %v, want %v", all, c.Expect.TLVs)
	}
}

// printable is what Envoy puts into metadata, "!" for each byte that is not
// UTF-8. Here values are kept as they are, and the access log escapes them.
func printable(value []byte) []byte {
	var out []byte
	for len(value) > 0 {
		r, n := utf8.DecodeRune(value)
		if r == utf8.RuneError && n == 1 {
			out = append(out, '!')
		} else {
			out = append(out, value[:n]...)
		}
		value = value[n:]
	}
	return out
}
