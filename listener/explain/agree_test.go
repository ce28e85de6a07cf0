package explain

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/listener"
)

// universe makes configurations and connections out of few values, so that they
// meet.
type universe struct {
	r      *rand.Rand
	hellos [][]byte
}

func one[T any](u *universe, list ...T) T { return list[u.r.IntN(len(list))] }

func (u *universe) prefixes() []netip.Prefix {
	if u.r.IntN(2) == 0 {
		return nil
	}
	return []netip.Prefix{netip.MustParsePrefix(one(u, "10.0.0.0/8", "10.4.0.0/16", "10.4.0.5/32", "192.0.2.0/24", "0.0.0.0/0"))}
}

func (u *universe) match() config.Match {
	m := config.Match{SourceType: one(u, config.SourceTypes()...)}
	m.DestinationPort = one[uint16](u, 0, 9080, 3306)
	m.PrefixRanges, m.SourcePrefixRanges, m.DirectSourcePrefixRanges = u.prefixes(), u.prefixes(), u.prefixes()
	m.TransportProtocol = one(u, "", "", config.TransportTLS, config.TransportRawBuffer)
	if u.r.IntN(3) == 0 {
		m.ServerNames = []string{one(u, "curl.example", "*.example", "a.test")}
	}
	if u.r.IntN(3) == 0 {
		m.ApplicationProtocols = []string{one(u, "h2", "http/1.1", "http/1.0", "h2c")}
	}
	m.SourcePorts = one(u, nil, nil, []uint16{40000})
	return m
}

// listener is one whose filter chains can stand side by side.
func (u *universe) listener() config.Listener {
	l := config.DefaultListener()
	l.Name, l.Address, l.ListenerFilters = "l", netip.MustParseAddrPort("0.0.0.0:8443"), nil
	for _, f := range config.ListenerFilters() {
		if u.r.IntN(3) > 0 {
			l.ListenerFilters = append(l.ListenerFilters, f)
		}
	}
	l.ProxyProtocol.AllowRequestsWithoutProxyProtocol = one(u, true, false)
	l.ContinueOnListenerFiltersTimeout = one(u, true, false)
	l.ListenerFiltersTimeout = time.Second
	if one(u, true, true, false) {
		fallback := u.chain("default", config.Match{})
		l.DefaultFilterChain = &fallback
	}
	for i := range 1 + u.r.IntN(12) {
		longer := append(slices.Clone(l.FilterChains), u.chain(fmt.Sprintf("chain-%d", i), u.match()))
		if _, problems := listener.NewIndex(longer, true); len(problems) == 0 {
			l.FilterChains = longer
		}
	}
	return l
}

func (u *universe) chain(name string, m config.Match) config.FilterChain {
	c := config.DefaultFilterChain()
	c.Name, c.Match, c.TCPProxy.Cluster = name, m, "c"
	return c
}

func (u *universe) tables(t *testing.T) *Tables {
	t.Helper()
	cfg := config.Default()
	c := config.DefaultCluster()
	c.Name, c.Type = "c", config.ClusterOriginalDst
	cfg.Listeners, cfg.Clusters = []config.Listener{u.listener()}, []config.Cluster{c}
	config.Normalize(&cfg)
	tables, err := NewTables(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

func (u *universe) question() Question {
	return Question{
		Listener:    "l",
		Source:      netip.MustParseAddrPort(one(u, "10.4.0.5:40000", "10.9.9.9:40001", "192.0.2.7:40000", "127.0.0.1:5")),
		Destination: netip.MustParseAddrPort(one(u, "10.4.0.5:9080", "10.4.0.6:3306", "192.0.2.7:9080", "198.51.100.1:443")),
	}
}

// facts are what a client may be found to be.
func (u *universe) facts(q *Question) {
	q.TransportProtocol = one(u, config.TransportProtocols()...)
	if q.TransportProtocol == config.TransportTLS {
		q.ServerName = one(u, "", "CURL.example", "b.example", "a.test", "x.test")
		q.ApplicationProtocols = one(u, nil, []string{"h2"}, []string{"x", "http/1.1", "h2"})
	} else {
		q.ApplicationProtocols = one(u, nil, []string{"http/1.1"}, []string{"h2c"})
	}
	if one(u, true, false) {
		q.DirectSource = netip.MustParseAddr(one(u, "10.4.0.5", "192.0.2.9"))
	}
}

// payload is what a client may send first, as far as it came.
func (u *universe) payload() []byte {
	header := one(u, "", "", "PROXY TCP4 10.4.0.5 10.4.0.6 40000 9080\r\n", "PROXY UNKNOWN\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x04\x00\x05\x0a\x04\x00\x06\x9c\x40\x0c\xea")
	body := one(u, "", "\x16\x03\x01\x00\x05hello", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x00\x01",
		string(one(u, u.hellos...)), string(one(u, u.hellos...)))
	whole := []byte(header + body)
	if len(whole) > 0 && u.r.IntN(4) == 0 {
		whole = whole[:u.r.IntN(len(whole))]
	}
	return whole
}

func hellos(t *testing.T) [][]byte {
	t.Helper()
	files, err := filepath.Glob("../inspect/testdata/hello/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no ClientHellos: %v", err)
	}
	var list [][]byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		list = append(list, payload)
	}
	return list
}

// serve does what a loop does with a connection whose bytes come one by one, and
// that then says nothing until the timeout. It tells the chain, "" for none.
func serve(l *listener.Listener, q *Question) string {
	f := listener.Facts{Destination: q.Destination, DirectSource: q.Source.Addr(), Source: q.Source}
	if l.Filtered() && l.NeedsInspection(&f) {
		in := l.Inspect(f)
		scratch := new(listener.Scratch)
		progress := in.Look(nil, false, scratch)
		for n := 1; n <= len(q.Payload) && progress == listener.InspectionMore; n++ {
			progress = in.Look(q.Payload[:n:n], false, scratch)
		}
		if progress == listener.InspectionMore {
			progress = in.Expire()
		}
		if progress == listener.InspectionFailed {
			return ""
		}
		f = in.Facts
	}
	return name(l, l.Match(&f))
}

func name(l *listener.Listener, match int) string {
	switch {
	case match != listener.NoMatch:
		return l.Config.FilterChains[match].Name
	case l.Config.DefaultFilterChain != nil:
		return l.Config.DefaultFilterChain.Name
	}
	return ""
}

// TestAgreesWithTheDaemon compares answers with what the loops' own calls decide.
func TestAgreesWithTheDaemon(t *testing.T) {
	seen := make(map[string]int)
	samples := hellos(t)
	for seed := range uint64(150) {
		u := &universe{rand.New(rand.NewPCG(seed, 4)), samples}
		tables := u.tables(t)
		l := tables.listeners.Listeners()[0]
		for range 50 {
			q := u.question()
			q.Payload = u.payload()
			want := serve(l, &q)
			compare(t, tables, q, want, seen)

			q = u.question()
			u.facts(&q)
			f := q.facts(l.Config)
			compare(t, tables, q, name(l, l.Match(&f)), seen)
		}
	}
	for _, kind := range []string{"done forward", "done close", "need_more forward", "need_more close", "error close"} {
		if seen[kind] < 50 {
			t.Errorf("%d answers are %s: the test proves little", seen[kind], kind)
		}
	}
}

func compare(t *testing.T, tables *Tables, q Question, want string, seen map[string]int) {
	t.Helper()
	a, err := tables.Explain(q)
	if err != nil {
		t.Fatal(err)
	}
	if a.FilterChain != want || (want == "") != (a.Verdict == Close) {
		t.Fatalf("chain %q and %s, want %q, for %+v of %+v\n%s", a.FilterChain, a.Verdict, want, q, tables.listeners.Listeners()[0].Config, a.Text())
	}
	seen[fmt.Sprintf("%s %s", a.Detected.Inspection, a.Verdict)]++
}
