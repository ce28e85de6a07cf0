package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// The ports of TestBadInput, each a part of its own.
const (
	lenient = 9001 + iota
	strict
	noDefault
	impatient
	patient
	oneKiB
	headerFirst
	headerOptional
	headerUntrusted
	headerV2Only
	headerPatient
)

// badInput is what a client may do instead of what was expected, and all that
// is left of it. docs/filter-chains.md has a row for each.
type badInput struct {
	name    string
	port    int
	send    []byte
	then    string // FIN, RST, or "": the client waits
	chain   string // where it goes all the same; "": it is closed
	want    ending
	details string
	counted string
}

const (
	failed   = "needed, failed"
	timedOut = "needed, timed_out, failed, downstream_pre_cx_timeout"
	wentOn   = "needed, timed_out, downstream_pre_cx_timeout"
)

var refusedByProxy = ending{"proxy", "inspection_failed", "-"}

func badHellos() []badInput {
	first := hello("a.example", "h2")
	swap := func(from, to string) []byte { return bytes.Replace(first, []byte(from), []byte(to), 1) }
	nul, lie := swap("a.example", "a\x00example"), swap("\x00\x0c\x00\x00\x09a", "\x00\x0d\x00\x00\x09a")
	const badName = "a server_name extension that is not exactly one host name of 1 to 255 bytes without NUL"
	closed := func(name string, port int, send []byte, then, details string) badInput {
		by := refusedByProxy
		if then == "FIN" {
			by.closedBy = "downstream"
		}
		return badInput{name, port, send, then, "", by, details, failed}
	}
	passes := func(name string, port int, send []byte, chain string) badInput {
		return badInput{name, port, send, "", chain, byClient, "", "needed"}
	}
	return []badInput{
		passes("a ClientHello of exactly `max_client_hello`", lenient, padded("a.example", 64<<10), "named"),
		closed("a ClientHello of `max_client_hello` and one byte", lenient, padded("a.example", 64<<10+1), "", "larger than the limit"),
		closed("a ClientHello that announces 16 MiB", lenient, []byte{22, 3, 1, 0x40, 0, 1, 255, 255, 255}, "", "larger than the limit"),
		passes("a server name with NUL", lenient, nul, "raw"),
		closed("a server name with NUL, `close_on_parse_error`", strict, nul, "", badName),
		passes("a server name that is not UTF-8", lenient, swap("a.example", "\xff.example"), "tls"),
		passes("lengths within the ClientHello that lie", lenient, lie, "raw"),
		closed("lengths within the ClientHello that lie, `close_on_parse_error`", strict, lie, "", badName),
		passes("garbage", lenient, patternBytes(1, 64<<10), "raw"),
		{"garbage, no chain for it and no default", noDefault, patternBytes(1, 64<<10), "", "", ending{"proxy", "no_filter_chain", "NR"}, "", "needed, no_filter_chain_match"},
		{"a broken ClientHello, no chain for it and no default", noDefault, nul, "", "", ending{"proxy", "no_filter_chain", "NR"}, "", "needed, no_filter_chain_match"},
		closed("FIN before a byte", lenient, nil, "FIN", "the end of the stream within what was to be inspected"),
		closed("FIN within the ClientHello", lenient, first[:100], "FIN", "the end of the stream within what was to be inspected"),
		{"RST before a byte", lenient, nil, "RST", "", ending{"downstream", "rst", "DC"}, "", "needed, sluice_connection_resets_total"},
		{"RST within the ClientHello", lenient, first[:100], "RST", "", ending{"downstream", "rst", "DC"}, "", "needed, sluice_connection_resets_total"},
		{"nothing in time, `continue…: true`", patient, nil, "", "raw", byClient, "", wentOn},
		{"nothing in time, `continue…: false`", impatient, nil, "", "", refusedByProxy,
			"nothing within listener_filters_timeout, and continue_on_listener_filters_timeout is false", timedOut},
		{"half a ClientHello in time, `continue…: true`", patient, first[:100], "", "", refusedByProxy, "not enough bytes within listener_filters_timeout", timedOut},
		{"half a ClientHello in time, `continue…: false`", impatient, first[:100], "", "", refusedByProxy, "not enough bytes within listener_filters_timeout", timedOut},
		closed("a request line longer than `max_client_hello`", oneKiB, []byte("GET /"+strings.Repeat("a", 2000)), "", "larger than the limit"),
		closed("FIN within the request line", oneKiB, []byte("GET /"), "FIN", "the end of the stream within what was to be inspected"),
	}
}

func badHeaders() []badInput {
	line := "PROXY TCP4 1.2.3.4 10.4.0.5 11 22\r\n"
	v2 := func(more string) []byte { return headerV2(1, [4]byte{1, 2, 3, 4}, [4]byte{10, 4, 0, 5}, more) }
	closed := func(name string, port int, send string, details string) badInput {
		return badInput{name, port, []byte(send), "", "", refusedByProxy, details, failed}
	}
	fin := closed("FIN within the PROXY header", headerFirst, line[:20], "the end of the stream within what was to be inspected")
	fin.then, fin.want.closedBy = "FIN", "downstream"
	late := closed("half a PROXY header in time", headerPatient, line[:20], "not enough bytes within listener_filters_timeout")
	silent := closed("no PROXY header in time", headerPatient, "", "no PROXY header, which this listener asks for")
	late.counted, silent.counted = timedOut, timedOut
	loop := closed("a PROXY header that names a port of sluice's own", headerFirst, "PROXY TCP4 1.2.3.4 10.4.0.5 11 15006\r\nhello", "")
	loop.want, loop.counted = ending{"proxy", "loop_guard", "-"}, "needed, sluice_loop_guard_total"
	return []badInput{
		closed("no PROXY header", headerFirst, "hello", "no PROXY header, which this listener asks for"),
		{"no PROXY header, optional", headerOptional, []byte("hello"), "", "raw", byClient, "", "needed"},
		closed("a PROXY header from a peer that is not trusted", headerUntrusted, line, "a PROXY header from a peer that is not within trusted_prefix_ranges"),
		closed("a PROXY header from a peer that is not trusted, header optional", headerOptional, line, "a PROXY header from a peer that is not within trusted_prefix_ranges"),
		closed("a PROXY header of a version that is disallowed", headerV2Only, line, "a PROXY header of a version that disallowed_versions has"),
		closed("a PROXY v1 line with two spaces", headerFirst, "PROXY TCP4  1.2.3.4 10.4.0.5 11 22\r\n",
			`a PROXY v1 line that is not "PROXY TCP4|TCP6|UNKNOWN SOURCE DESTINATION PORT PORT" with single spaces and CRLF`),
		closed("a PROXY v1 line without end", headerFirst, "PROXY "+strings.Repeat("x", 200), "a PROXY v1 line of more than 107 bytes"),
		closed("a PROXY v2 header with a TLV that lies", headerFirst, string(v2("\x02\x00\x09a.example"[:9])),
			"a PROXY v2 header with a TLV that does not end where the header does, or is longer than allowed"),
		closed("a PROXY v2 header with a wrong checksum", headerFirst, string(v2("\x03\x00\x04\x00\x00\x00\x00")), "a PROXY v2 header whose CRC32C checksum is wrong"),
		loop, fin, late, silent,
	}
}

func badInputText() string {
	asks := []string{"named: {server_names: [a.example]}", "tls: {transport_protocol: tls}"}
	http := []string{"http: {application_protocols: [http/1.1]}"}
	never, soon := "listener_filters_timeout: 0s, ", "listener_filters_timeout: 3s, "
	proxied := "proxy_protocol, tls_inspector"
	return inspectingText("",
		part{"lenient", lenient, "tls_inspector", never + "tls_inspector: {max_client_hello: 64KiB}", asks, "raw"},
		part{"strict", strict, "tls_inspector", never + "tls_inspector: {close_on_parse_error: true}", asks, "raw"},
		part{"noDefault", noDefault, "tls_inspector", never + "tls_inspector: {}", asks, ""},
		part{"impatient", impatient, "tls_inspector", soon + "continue_on_listener_filters_timeout: false", asks, "raw"},
		part{"patient", patient, "tls_inspector", soon + "continue_on_listener_filters_timeout: true", asks, "raw"},
		part{"oneKiB", oneKiB, "tls_inspector, http_inspector", never + "tls_inspector: {max_client_hello: 1KiB}", http, "raw"},
		part{"headerFirst", headerFirst, proxied, never + "proxy_protocol: {}", asks, "raw"},
		part{"headerOptional", headerOptional, proxied, never + "proxy_protocol: {allow_requests_without_proxy_protocol: true, trusted_prefix_ranges: [192.0.2.0/24]}", asks, "raw"},
		part{"headerUntrusted", headerUntrusted, proxied, never + "proxy_protocol: {trusted_prefix_ranges: [192.0.2.0/24]}", asks, "raw"},
		part{"headerV2Only", headerV2Only, proxied, never + "proxy_protocol: {disallowed_versions: [v1]}", asks, "raw"},
		part{"headerPatient", headerPatient, proxied, soon + "continue_on_listener_filters_timeout: true", asks, "raw"},
	)
}

// TestBadInput has clients do what they should not, one after the other, and
// looks at all that is left of it: what client and server see, the access log,
// every counter, and that sluice's own log says nothing: clients could fill it.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	s := startSidecar(w, badInputText(), asSidecar(redirect))
	ways := map[int]*way{}
	for port := lenient; port <= headerPatient; port++ {
		ways[port] = newWay(w, "", w.client, w.pod, fmt.Sprintf("%s:%d", podIP, port))
	}
	log := s.process.Log()
	page, err := os.ReadFile("../docs/filter-chains.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(badHellos(), badHeaders()...) {
		t.Run(c.name, func(t *testing.T) {
			runBadInput(s.in(t), ways[c.port], c)
			if !strings.Contains(string(page), c.row()) {
				t.Errorf("docs/filter-chains.md lacks the row\n%s", c.row())
			}
		})
	}
	if now := s.process.Log(); now != log {
		t.Errorf("sluice's log says %s", strings.TrimPrefix(now, log))
	}
}

func runBadInput(s *sidecar, v *way, c badInput) {
	before := s.inspections()
	client := dial(s.w, v.from, v.address)
	sent := sendSome(s.w, client, c.send)
	if c.then != "" {
		s.waiting(1)
		waitSent(s.w, client)
	}
	switch {
	case c.then == "RST":
		if err := reset(client); err != nil {
			s.w.Fatal(err)
		}
	case c.then == "FIN":
		client.CloseWrite()
		wantReset(s.w, client)
	case c.chain != "":
		server := v.arrives(s.w, c.send)
		write(s.w, server, []byte("!"))
		readFull(s.w, client, 1)
		client.Close()
		wantEnd(s.w, server)
		server.Close()
	case sent:
		wantReset(s.w, client)
	}
	remote, local := client.LocalAddr().String(), v.address
	if c.want.reason == "loop_guard" { // the header is believed before it is refused
		remote, local = "1.2.3.4:11", podIP+":15006"
	}
	r := s.endOf(remote, local)
	if r.ending() != c.want || r.Details != c.details || r.Chain != c.chain || (r.Reason == "rst") != (r.Errno == "ECONNRESET") {
		s.w.Errorf("record %+v,\nwant %+v", r, c)
	}
	s.waitCounts(before, c.counted)
	s.waiting(0)
	if len(v.accepted) > 0 {
		s.w.Errorf("a connection that was refused has arrived at the server")
	}
}

// sendSome writes what it can; false: a reset came before the end.
func sendSome(w *world, conn net.Conn, data []byte) bool {
	w.Helper()
	_, err := io.Copy(conn, bytes.NewReader(data))
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return false
	}
	if err != nil {
		w.Fatal(err)
	}
	return true
}

// row is the case as docs/filter-chains.md tells it.
func (c badInput) row() string {
	counters := "`" + strings.ReplaceAll(c.counted, ", ", "`, `") + "`"
	if c.chain != "" {
		as := map[string]string{"raw": "goes on as `raw_buffer`", "tls": "goes on as `tls`", "named": "goes on as `tls`"}[c.chain]
		return fmt.Sprintf("| %s | %s | | %s |", c.name, as, counters)
	}
	return fmt.Sprintf("| %s | `%s`, %s, `%s` | %s | %s |", c.name, c.want.reason, c.want.closedBy, c.want.flags, strings.ReplaceAll(c.details, "|", "\\|"), counters)
}
