package dns

import (
	"testing"

	wire "github.com/miekg/dns"

	"github.com/sluiceproxy/sluice/config"
)

// FuzzInterpret gives what comes from the wire to the query that it has the id
// of, so that no input fails at the id.
func FuzzInterpret(f *testing.F) {
	q := query{id: 0x1234, name: "a.example.", qtype: wire.TypeA}
	asked, err := q.pack(true)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(asked)
	for _, records := range [][]string{
		{"a.example. 60 IN A 10.0.0.1"}, {"a.example. 60 IN CNAME b.example.", "b.example. 5 IN A 10.0.0.1"},
		{"a.example. 60 IN CNAME a.example."}, {"a.example. 4294967295 IN A 0.0.0.0"}, {"a.example. 60 IN AAAA fd00::1"}, aliases(17),
	} {
		m := new(wire.Msg)
		if err := m.Unpack(asked); err != nil {
			f.Fatal(err)
		}
		m.SetReply(m)
		m.Compress = true
		for _, text := range records {
			m.Answer = append(m.Answer, record(text))
		}
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)-3])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) >= 2 {
			raw[0], raw[1] = 0x12, 0x34
		}
		r, err := q.interpret(raw)
		if err != nil {
			if len(r.found.addrs) > 0 {
				t.Errorf("addresses %v of a message that is ignored: %v", r.found.addrs, err)
			}
			return
		}
		if r.problem() != nil && len(r.found.addrs) > 0 || r.rcode != wire.RcodeSuccess && len(r.found.addrs) > 0 {
			t.Errorf("%+v has a problem and addresses", r)
		}
		for _, addr := range r.found.addrs {
			if !addr.Is4() || addr.IsUnspecified() || addr.IsMulticast() {
				t.Errorf("address %v", addr)
			}
		}
		if r.found.ttl < 0 || r.found.ttl > maxTTL {
			t.Errorf("TTL %v", r.found.ttl)
		}
		if a, _ := choose(config.LookupV4Only, r.found, section{}); len(a.Addrs) > maxAddrs {
			t.Errorf("%d addresses", len(a.Addrs))
		}
	})
}

// FuzzFiles: whatever stands in the files, the candidates can be asked for.
func FuzzFiles(f *testing.F) {
	f.Add("search a.example b.\nnameserver fe80::1%eth0\noptions ndots:3 timeout:2 rotate", "svc")
	f.Add("10.0.0.1 db db.example # x", "db")
	f.Fuzz(func(t *testing.T, text, name string) {
		conf := parseResolvConf(text)
		if len(conf.servers) == 0 || conf.attempts < 1 || conf.timeout <= 0 {
			t.Errorf("%+v", conf)
		}
		parseHosts(text)
		if checkName(name) != nil {
			return
		}
		for _, candidate := range conf.candidates(name) {
			q := query{name: candidate, qtype: wire.TypeAAAA}
			raw, err := q.pack(true)
			if err != nil {
				t.Fatalf("%q: %v", candidate, err)
			}
			m := new(wire.Msg)
			if err := m.Unpack(raw); err != nil || m.Question[0].Name != candidate {
				t.Errorf("%q is asked for as %v, %v", candidate, m.Question, err)
			}
		}
	})
}
