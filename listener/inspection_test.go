package listener

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/listener/inspect"
)

const (
	clientAt = "9.9.9.9:40000" // the socket's peer
	serverAt = "10.0.0.1:443"  // the original destination
	lineV1   = "PROXY TCP4 1.2.3.4 5.6.7.8 11 22\r\n"
	request  = "GET / HTTP/1.1\r\n"
	preface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	moved    = " from 1.2.3.4:11 to 5.6.7.8:22"
	sniOf    = "a.example"
	isTLS    = "tls a.example h2"
	isRaw    = "raw_buffer"
	needMore = "need_more"
)

// written is a connection that keeps what is written to it and has nothing to
// read.
type written struct {
	net.Conn
	bytes.Buffer
}

func (w *written) Read([]byte) (int, error)    { return 0, io.EOF }
func (w *written) Write(b []byte) (int, error) { return w.Buffer.Write(b) }
func (w *written) Close() error                { return nil }

// helloOf is the ClientHello that crypto/tls sends.
func helloOf(cfg *tls.Config) []byte {
	var conn written
	_ = tls.Client(&conn, cfg).Handshake() // there is no server
	return conn.Bytes()
}

// hello asks for a.example and offers h2.
func hello() []byte { return helloOf(&tls.Config{ServerName: sniOf, NextProtos: []string{"h2"}}) }

// inRecords puts the message of a ClientHello into records of a size.
func inRecords(hello []byte, size int) []byte {
	var out []byte
	for message := hello[5:]; len(message) > 0; {
		n := min(size, len(message))
		out = append(out, 22, 3, 1, byte(n>>8), byte(n))
		out, message = append(out, message[:n]...), message[n:]
	}
	return out
}

// headerV2 is a PROXY header from 1.2.3.4:11 to 5.6.7.8:22.
func headerV2(command byte, more string) []byte {
	addresses := "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x0b\x00\x16" + more
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x20|command, 0x11)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(addresses))), addresses...)
}

// announced begins a ClientHello that says it has n bytes.
func announced(n int) []byte {
	record := []byte{22, 3, 1, 0x40, 0, 1, byte(n >> 16), byte(n >> 8), byte(n), 3, 3}
	return append(record, make([]byte, 1<<10)...)
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// looking is a listener with some filters and chains; change may be nil.
func looking(t testing.TB, filters []config.ListenerFilter, chains []config.Match, change func(*config.Listener)) *Listener {
	t.Helper()
	cfg := config.DefaultListener()
	cfg.ListenerFilters = filters
	if change != nil {
		change(&cfg)
	}
	var list []config.FilterChain
	for i, m := range chains {
		list = append(list, chain(fmt.Sprint(i), m))
	}
	return &Listener{Config: &cfg, index: mustIndex(t, list), filters: newFilters(&cfg)}
}

// askAll are chains for which every answer matters.
func askAll() []config.Match {
	return []config.Match{
		{ServerNames: []string{sniOf}, TransportProtocol: config.TransportTLS, ApplicationProtocols: []string{"h2"}},
		{TransportProtocol: config.TransportTLS},
		{TransportProtocol: config.TransportRawBuffer, ApplicationProtocols: []string{"http/1.1", "h2c"}},
		{},
	}
}

// fate is what became of an inspection, in one line.
func fate(i *Inspection, progress Progress) string {
	switch progress {
	case InspectionMore:
		return needMore
	case InspectionFailed:
		return "closed: " + string(i.Reason)
	}
	f := &i.Facts
	s := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", f.TransportProtocol, f.ServerName, strings.Join(f.ApplicationProtocols, ","))), " ")
	if i.Moved() {
		s += fmt.Sprintf(" from %s to %s", f.Source, f.Destination)
	} else if f.Source.String() != clientAt || f.Destination.String() != serverAt {
		s += " with addresses that nobody gave"
	}
	return s
}

// see feeds a stream byte by byte, very long ones in larger pieces, and ends it if told so. It returns what
// became of it and after how many bytes; all at once it must come to the same.
func see(t testing.TB, l *Listener, stream []byte, ended bool) (what string, after int) {
	t.Helper()
	var scratch Scratch
	from := facts(clientAt, serverAt)
	slow, fast := l.Inspect(from), l.Inspect(from)
	progress := InspectionMore
	piece := 1 + len(stream)/(maxLooks-1)
	for {
		progress = slow.Look(stream[:after:after], ended && after == len(stream), &scratch)
		if progress != InspectionMore || after == len(stream) {
			break
		}
		after = min(after+piece, len(stream))
	}
	what = fate(slow, progress)
	if got := fate(fast, fast.Look(stream, ended, &scratch)); got != what {
		t.Errorf("byte by byte: %s; at once: %s", what, got)
	}
	if progress == InspectionDone && (slow.Header != fast.Header || slow.Version != fast.Version || slow.Header > after) {
		t.Errorf("byte by byte a header of %d bytes, v%d; at once %d, v%d", slow.Header, slow.Version, fast.Header, fast.Version)
	}
	return what, after
}

type inspectionCase struct {
	name    string
	filters []config.ListenerFilter
	chains  []config.Match
	change  func(*config.Listener)
	stream  []byte
	ended   bool
	want    string
	after   int // bytes until it is known; -1: all of them
}

func TestInspection(t *testing.T) {
	cases := slices.Concat(tlsCases(), httpCases(), proxyCases(), endCases())
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := c.after
			if want < 0 {
				want = len(c.stream)
			}
			got, after := see(t, looking(t, c.filters, c.chains, c.change), c.stream, c.ended)
			if got != c.want || after != want {
				t.Errorf("%s after %d bytes, want %s after %d", got, after, c.want, want)
			}
		})
	}
}

var (
	onlyProxy = []config.ListenerFilter{config.FilterProxyProtocol}
	onlyTLS   = []config.ListenerFilter{config.FilterTLS}
	onlyHTTP  = []config.ListenerFilter{config.FilterHTTP}
	allThree  = []config.ListenerFilter{config.FilterProxyProtocol, config.FilterTLS, config.FilterHTTP}
	withTLS   = []config.ListenerFilter{config.FilterProxyProtocol, config.FilterTLS}
	noHeader  = []config.ListenerFilter{config.FilterTLS, config.FilterHTTP}
)

func maxHello(n config.Size) func(*config.Listener) {
	return func(l *config.Listener) { l.TLSInspector.MaxClientHello = n }
}

func strictly(l *config.Listener) { l.TLSInspector.CloseOnParseError = true }

func tlsCases() []inspectionCase {
	first := hello()
	named := []config.Match{{ServerNames: []string{sniOf}}, {}}
	broken := slices.Clone(first)
	broken[5+4] = 0 // the version is SSL 2
	tooLarge := "closed: " + string(inspect.TooLarge)
	size := config.Size(len(first))
	return []inspectionCase{
		{"TLS", onlyTLS, named, nil, join(first, []byte("more of it")), false, isTLS, len(first)},
		{"TLS in records of 7 bytes", onlyTLS, named, nil, inRecords(first, 7), false, isTLS, -1},
		{"TLS that ends behind the hello", onlyTLS, named, nil, first, true, isTLS, -1},
		{"TLS exactly as long as allowed", onlyTLS, named, maxHello(size), first, false, isTLS, -1},
		{"TLS one byte longer", onlyTLS, named, maxHello(size - 1), first, false, tooLarge, 9},
		{"more than 64 KiB announced", onlyTLS, named, nil, announced(64 << 10), false, tooLarge, 9},
		{"16 MiB announced", onlyTLS, named, nil, announced(1<<24 - 1), false, tooLarge, 9},
		{"TLS without a name and ALPN", onlyTLS, named, nil, helloOf(&tls.Config{InsecureSkipVerify: true}), false, "tls", -1},
		{"not TLS", onlyTLS, named, nil, []byte("SSH-2.0"), false, isRaw, 1},
		{"a handshake record of another version", onlyTLS, named, nil, []byte{22, 2, 1, 0, 9}, false, isRaw, 2},
		{"NUL bytes", onlyTLS, named, nil, make([]byte, 99), false, isRaw, 1},
		{"broken TLS is not TLS", onlyTLS, named, nil, broken, false, isRaw, -1},
		{"broken TLS, strictly", onlyTLS, named, strictly, broken, false, "closed: " + string(inspect.OldVersion), -1},
		{"an empty record", onlyTLS, named, strictly, []byte{22, 3, 1, 0, 0, 1}, false, "closed: " + string(inspect.BadRecord), 5},
		{"no ClientHello", onlyTLS, named, strictly, []byte{22, 3, 1, 0, 9, 2}, false, "closed: " + string(inspect.NoClientHello), 6},
		{"not TLS, strictly", onlyTLS, named, strictly, []byte(request), false, isRaw, 1},
	}
}

func httpCases() []inspectionCase {
	plain := []config.Match{{ApplicationProtocols: []string{"http/1.1"}}, {}}
	return []inspectionCase{
		{"HTTP/1.1", onlyHTTP, plain, nil, []byte(request + "Host: a\r\n\r\n"), false, "raw_buffer http/1.1", len(request)},
		{"HTTP/1.0", onlyHTTP, plain, nil, []byte("GET / HTTP/1.0\r\n"), false, "raw_buffer http/1.0", -1},
		{"HTTP/2", onlyHTTP, plain, nil, []byte(preface), false, "raw_buffer h2c", -1},
		{"HTTP behind tls_inspector", noHeader, plain, nil, []byte(request), false, "raw_buffer http/1.1", -1},
		{"HTTP that only TLS chains ask about", noHeader, []config.Match{{TransportProtocol: config.TransportTLS, ApplicationProtocols: []string{"h2"}}, {}},
			nil, []byte(request), false, isRaw, 1},
		{"no HTTP", onlyHTTP, plain, nil, []byte("*1\r\n$4\r\nPING\r\n"), false, isRaw, 1},
		{"TLS without tls_inspector", onlyHTTP, plain, nil, hello(), false, isRaw, 1},
		{"TLS is not asked for HTTP", noHeader, plain, nil, hello(), false, isTLS, -1},
		{"a line without end", onlyHTTP, plain, maxHello(1 << 10), []byte("GET /" + strings.Repeat("a", 2<<10)), false, "closed: " + string(inspect.TooLarge), 1 << 10},
		{"a line not yet at its end", onlyHTTP, plain, nil, []byte("GET / HTTP/1.1"), false, needMore, -1},
	}
}

// proxies changes the keys of proxy_protocol.
func proxies(p config.ProxyProtocol) func(*config.Listener) {
	return func(l *config.Listener) { l.ProxyProtocol = p }
}

func proxyCases() []inspectionCase {
	asks, none := askAll(), []config.Match{{}}
	v1, v2, local := []byte(lineV1), headerV2(1, ""), headerV2(0, "")
	first := hello()
	optional := proxies(config.ProxyProtocol{AllowRequestsWithoutProxyProtocol: true})
	others := cidrs("192.168.0.0/16")
	untrusting := proxies(config.ProxyProtocol{TrustedPrefixRanges: others})
	sneaky := proxies(config.ProxyProtocol{TrustedPrefixRanges: others, AllowRequestsWithoutProxyProtocol: true})
	trusting := proxies(config.ProxyProtocol{TrustedPrefixRanges: append(cidrs("9.9.9.0/24"), others...)})
	without := func(v config.ProxyProtocolVersion) func(*config.Listener) {
		return proxies(config.ProxyProtocol{DisallowedVersions: []config.ProxyProtocolVersion{v}})
	}
	tlv := headerV2(1, "\x02\x00\x05a.b.c")
	badTLV := headerV2(1, "\x02\x00\x06a.b.c")
	return []inspectionCase{
		{"v1", onlyProxy, none, nil, join(v1, []byte("x")), false, isRaw + moved, len(v1)},
		{"v1, then TLS", allThree, asks, nil, join(v1, first), false, isTLS + moved, -1},
		{"v1, then HTTP", allThree, asks, nil, []byte(lineV1 + request), false, "raw_buffer http/1.1" + moved, -1},
		{"v1 UNKNOWN, then TLS", allThree, asks, nil, join([]byte("PROXY UNKNOWN\r\n"), first), false, isTLS, -1},
		{"v2", onlyProxy, none, nil, join(v2, []byte("x")), false, isRaw + moved, len(v2)},
		{"v2 with a TLV, then TLS", allThree, asks, nil, join(tlv, first), false, isTLS + moved, -1},
		{"v2 LOCAL", onlyProxy, none, nil, local, false, isRaw, -1},
		{"v2 LOCAL, then TLS", allThree, asks, nil, join(local, first), false, isTLS, -1},
		{"a second header is the application's", allThree, asks, nil, join(v2, v1), false, isRaw + moved, len(v2) + 4},
		{"two headers where nothing is asked", onlyProxy, none, nil, []byte(lineV1 + lineV1), false, isRaw + moved, len(v1)},
		{"the whole hello behind the longest header", withTLS, asks, nil, join(headerV2(0, strings.Repeat("x", 65535-12)), first), false, isTLS, -1},
		{"no header", onlyProxy, none, nil, []byte(request), false, "closed: " + string(NoHeader), 1},
		{"no header, TLS", allThree, asks, nil, first, false, "closed: " + string(NoHeader), 1},
		{"no header, optional", allThree, asks, optional, first, false, isTLS, -1},
		{"a header, optional", allThree, asks, optional, join(v2, first), false, isTLS + moved, -1},
		{"the beginning of v1, optional", onlyProxy, none, optional, []byte("PROX"), false, needMore, -1},
		{"almost v1, optional", onlyProxy, none, optional, []byte("PROXIES"), false, isRaw, 5},
		{"almost v2, optional", onlyProxy, none, optional, []byte("\r\n\r\n\x00\r\nQUIT\r"), false, isRaw, 12},
		{"bad v1, optional", onlyProxy, none, optional, []byte("PROXY TCP9 \r\n"), false, "closed: " + string(inspect.BadLine), -1},
		{"not trusted, v1", onlyProxy, none, untrusting, v1, false, "closed: " + string(Untrusted), 5},
		{"not trusted, v2", onlyProxy, none, untrusting, v2, false, "closed: " + string(Untrusted), 12},
		{"not trusted, header optional", onlyProxy, none, sneaky, v2, false, "closed: " + string(Untrusted), 12},
		{"not trusted, no header, optional", allThree, asks, sneaky, first, false, isTLS, -1},
		{"not trusted, no header", allThree, asks, untrusting, first, false, "closed: " + string(NoHeader), 1},
		{"trusted", onlyProxy, none, trusting, v2, false, isRaw + moved, -1},
		{"v1 disallowed", onlyProxy, none, without(config.ProxyProtocolV1), v1, false, "closed: " + string(Disallowed), 5},
		{"v1 disallowed, v2 sent", onlyProxy, none, without(config.ProxyProtocolV1), v2, false, isRaw + moved, -1},
		{"v2 disallowed", onlyProxy, none, without(config.ProxyProtocolV2), v2, false, "closed: " + string(Disallowed), 12},
		{"a TLV that lies", onlyProxy, none, nil, badTLV, false, "closed: " + string(inspect.BadTLV), -1},
		{"v1 without end", onlyProxy, none, nil, []byte("PROXY " + strings.Repeat("x", 200)), false, "closed: " + string(inspect.LongLine), 107},
		{"behind the header a hello that is too long", withTLS, asks, nil, join(v1, announced(1<<20)), false, "closed: " + string(inspect.TooLarge), len(v1) + 9},
	}
}

// endCases are clients that end early; "after" is when that is told.
func endCases() []inspectionCase {
	asks, early := askAll(), "closed: "+string(EndedEarly)
	first := hello()
	optional := proxies(config.ProxyProtocol{AllowRequestsWithoutProxyProtocol: true})
	return []inspectionCase{
		{"end at once", allThree, asks, nil, nil, true, early, -1},
		{"end at once, header optional", allThree, asks, optional, nil, true, early, -1},
		{"end within the header", onlyProxy, asks, nil, []byte(lineV1[:20]), true, early, -1},
		{"end behind the header", allThree, asks, nil, []byte(lineV1), true, early, -1},
		{"end behind the header, where nothing is asked", onlyProxy, []config.Match{{}}, nil, []byte(lineV1), true, isRaw + moved, -1},
		{"end within the hello", onlyTLS, asks, nil, first[:len(first)-1], true, early, -1},
		{"end within the hello's record header", onlyTLS, asks, nil, first[:3], true, early, -1},
		{"end within the line", onlyHTTP, asks, nil, []byte("GET /"), true, early, -1},
		{"end behind what is no TLS", onlyTLS, asks, nil, []byte("x"), true, isRaw, -1},
	}
}

// A stream may come in as many pieces as a hello that is long for one has bytes,
// and not in any number.
func TestTooManyPieces(t *testing.T) {
	line := []byte("GET /" + strings.Repeat("a", maxLooks))
	i := looking(t, onlyHTTP, askAll(), nil).Inspect(facts(clientAt, serverAt))
	var scratch Scratch
	for n := range maxLooks {
		if i.Look(line[:n], false, &scratch) != InspectionMore {
			t.Fatalf("closed after %d bytes: %s", n, i.Reason)
		}
	}
	if got := fate(i, i.Look(line[:maxLooks], false, &scratch)); got != "closed: "+string(TooManyPieces) {
		t.Errorf("one more: %s", got)
	}
}

// TestFilterOrder: the order in the configuration changes nothing, and each
// filter finds what is its own.
func TestFilterOrder(t *testing.T) {
	for _, filters := range arrangements(allThree) {
		has := func(f config.ListenerFilter) bool { return slices.Contains(filters, f) }
		for _, header := range []string{"", lineV1} {
			for _, behind := range []string{string(hello()), request, "SSH-2.0"} {
				want := isRaw
				switch visible := header == "" || has(config.FilterProxyProtocol); {
				case header == "" && has(config.FilterProxyProtocol):
					want = "closed: " + string(NoHeader)
				case !visible:
				case behind == request && has(config.FilterHTTP):
					want = "raw_buffer http/1.1"
				case behind[0] == 22 && has(config.FilterTLS):
					want = isTLS
				}
				if header != "" && has(config.FilterProxyProtocol) {
					want += moved
				}
				if got, _ := see(t, looking(t, filters, askAll(), nil), []byte(header+behind), false); got != want {
					t.Errorf("filters %v, %.20q: %s, want %s", filters, header+behind, got, want)
				}
			}
		}
	}
}

// arrangements are all ways to list some of a list.
func arrangements(list []config.ListenerFilter) [][]config.ListenerFilter {
	all := [][]config.ListenerFilter{nil}
	for i, f := range list {
		rest := slices.Delete(slices.Clone(list), i, i+1)
		for _, a := range arrangements(rest) {
			all = append(all, append([]config.ListenerFilter{f}, a...))
		}
	}
	return all
}

func TestNeedsInspection(t *testing.T) {
	mysql := []config.Match{{DestinationPort: 3306}, {DestinationPort: 443, ServerNames: []string{sniOf}}, {DestinationPort: 80, ApplicationProtocols: []string{"h2c"}}}
	for _, c := range []struct {
		name        string
		filters     []config.ListenerFilter
		destination string
		want        bool
	}{
		{"no filters", nil, "10.0.0.1:443", false},
		{"a port whose server speaks first", noHeader, "10.0.0.1:3306", false},
		{"a port of no chain", noHeader, "10.0.0.1:1", false},
		{"the TLS port", noHeader, "10.0.0.1:443", true},
		{"the HTTP port", noHeader, "10.0.0.1:80", true},
		{"a PROXY header comes first, whatever the port", allThree, "10.0.0.1:3306", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := facts(clientAt, c.destination)
			if got := looking(t, c.filters, mysql, nil).NeedsInspection(&f); got != c.want {
				t.Errorf("needs inspection: %t", got)
			}
		})
	}
}

// A PROXY header that leads to a port where nothing is asked ends the
// inspection, though the socket's own destination asks.
func TestHeaderDecidesWhatIsNeeded(t *testing.T) {
	chains := []config.Match{{DestinationPort: 22}, {DestinationPort: 443, ServerNames: []string{sniOf}}}
	l := looking(t, allThree, chains, nil)
	if got, after := see(t, l, []byte(lineV1), false); got != isRaw+moved || after != len(lineV1) {
		t.Errorf("%s after %d bytes", got, after)
	}
	if got, _ := see(t, l, []byte("PROXY TCP4 1.2.3.4 5.6.7.8 11 443\r\n"), false); got != needMore {
		t.Errorf("a port that asks: %s", got)
	}
}

type expiryCase struct {
	name    string
	filters []config.ListenerFilter
	stream  string
	goesOn  string // with continue_on_listener_filters_timeout
	ends    string // without
}

func TestExpire(t *testing.T) {
	first := string(hello())
	timedOut, nothing, noLine := "closed: "+string(TimedOut), "closed: "+string(OutOfTime), "closed: "+string(NoHeader)
	for _, c := range []expiryCase{
		{"nothing", noHeader, "", isRaw, nothing},
		{"half a hello", noHeader, first[:99], timedOut, timedOut},
		{"one byte that may be TLS", noHeader, first[:1], timedOut, timedOut},
		{"half a request", noHeader, "GET /", isRaw, timedOut},
		{"half a preface", onlyHTTP, preface[:9], isRaw, timedOut},
		{"no header", allThree, "", noLine, nothing},
		{"half a header", allThree, lineV1[:9], timedOut, timedOut},
		{"half a header, and nothing else is looked for", onlyProxy, lineV1[:9], timedOut, timedOut},
		{"a header and nothing behind it", allThree, lineV1, isRaw + moved, nothing},
		{"a header and half a hello", allThree, lineV1 + first[:99], timedOut, timedOut},
		{"a header and half a request", allThree, lineV1 + "GET /", isRaw + moved, timedOut},
	} {
		for goOn, want := range map[bool]string{true: c.goesOn, false: c.ends} {
			for _, optional := range []bool{true, false} {
				l := looking(t, c.filters, askAll(), func(l *config.Listener) {
					l.ContinueOnListenerFiltersTimeout = goOn
					l.ProxyProtocol.AllowRequestsWithoutProxyProtocol = optional
				})
				want := want
				if want == noLine && optional {
					want = isRaw
				}
				i := l.Inspect(facts(clientAt, serverAt))
				var scratch Scratch
				if c.stream != "" && i.Look([]byte(c.stream), false, &scratch) != InspectionMore {
					t.Fatalf("%s: known before the timeout: %s", c.name, i.Reason)
				}
				if got := fate(i, i.Expire()); got != want {
					t.Errorf("%s, continue %t, optional %t: %s, want %s", c.name, goOn, optional, got, want)
				}
			}
		}
	}
}

// TestFailsClosed: whatever was not understood never comes to a chain that asks
// for TLS.
func TestFailsClosed(t *testing.T) {
	first := hello()
	guarded := []config.Match{{ServerNames: []string{sniOf}}, {TransportProtocol: config.TransportTLS}}
	for _, strict := range []bool{true, false} {
		l := looking(t, onlyTLS, guarded, func(l *config.Listener) { l.TLSInspector.CloseOnParseError = strict })
		var scratch Scratch
		for bit := range len(first) * 8 {
			stream := slices.Clone(first)
			stream[bit/8] ^= 1 << (bit % 8)
			var direct inspect.Hello
			understood := direct.Parse(stream, 64<<10).State == inspect.Done
			i := l.Inspect(facts(clientAt, serverAt))
			progress := i.Look(stream, true, &scratch)
			if chosen := l.Match(&i.Facts); progress == InspectionDone && chosen != NoMatch && !understood {
				t.Errorf("with bit %d changed, chain %d", bit, chosen)
			}
			if understood && (progress != InspectionDone || i.Facts.TransportProtocol != config.TransportTLS) {
				t.Errorf("with bit %d changed, %s", bit, fate(i, progress))
			}
		}
	}
}

// An IPv4-mapped peer is trusted where its IPv4 address is, and a zone does not
// make another peer.
func TestTrusts(t *testing.T) {
	cfg := config.DefaultListener()
	cfg.ProxyProtocol.TrustedPrefixRanges = cidrs("10.0.0.0/8", "fe80::/10")
	f := newFilters(&cfg)
	for peer, want := range map[string]bool{"10.1.1.1": true, "::ffff:10.1.1.1": true, "fe80::1%eth0": true, "11.0.0.1": false, "::1": false} {
		if f.trusts(netip.MustParseAddr(peer)) != want {
			t.Errorf("%s: trusted %t", peer, !want)
		}
	}
}
