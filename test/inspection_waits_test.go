package test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

const mysqlPort = 3306

// tlsChains ask for TLS on one port and for nothing on another.
func tlsChains() []string {
	return []string{
		fmt.Sprintf("mysql: {destination_port: %d}", mysqlPort),
		fmt.Sprintf("named: {destination_port: %d, server_names: [a.example]}", tlsPort),
		fmt.Sprintf("tls: {destination_port: %d, transport_protocol: tls}", tlsPort),
	}
}

// inboundText is inspectingText of one listener for all ports.
func inboundText(top, keys string) string {
	text := inspectingText(top, part{"inbound", 15006, "tls_inspector, http_inspector", keys, tlsChains(), "raw"})
	from, to := strings.Index(text, "- name: virtualInbound"), strings.Index(text, "- {name: inbound")
	return strings.Replace(text[:from]+text[to:], "bind: false, ", "", 1)
}

// TestServerFirst: a server that speaks first does so at once, though the
// filters would wait for ever and chains of the same listener ask for TLS on
// other ports. A wait of any length would never end here.
func TestServerFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	serveGreeting(w, w.pod, fmt.Sprintf("%s:%d", podIP, mysqlPort), fmt.Sprintf("%s:%d", podIP, tlsPort), podIP+":7000")
	s := startSidecar(w, inboundText("", "listener_filters_timeout: 0s"), asSidecar(redirect))
	for _, c := range []struct {
		port    int
		chain   string
		counted string
	}{{mysqlPort, "mysql", "skipped"}, {7000, "raw", "skipped"}} {
		t.Run(c.chain, func(t *testing.T) {
			s := s.in(t)
			before := s.inspections()
			_, _, r := converse(s, w.client, fmt.Sprintf("%s:%d", podIP, c.port))
			if r.chosen() != (chosen{chain: c.chain}) || r.ending() != byClient {
				t.Errorf("record %+v", r)
			}
			s.waitCounts(before, c.counted)
		})
	}
	t.Run("the TLS port waits", func(t *testing.T) {
		s := s.in(t)
		before := s.inspections()
		conn := dial(s.w, w.client, fmt.Sprintf("%s:%d", podIP, tlsPort))
		s.waiting(1)
		if m := s.metrics(); m.sum("envoy_cluster_upstream_cx_active") != 0 {
			t.Error("the server is dialled before the client has said anything")
		}
		write(t, conn, []byte("no TLS\n"))
		readFull(t, conn, 1)
		conn.Close()
		if r := s.ended(conn); r.chosen() != (chosen{"raw", "", "raw_buffer", ""}) {
			t.Errorf("record %+v", r)
		}
		moved := s.inspections().minus(before)
		if moved.resets = 0; moved.String() != "needed" { // it was closed with unread bytes
			t.Errorf("counted %s", moved)
		}
	})
}

// TestTrickle has first bytes arrive one by one, or as slowly as they may, alone and behind PROXY
// headers; the server gets all that is the client's, as it was.
func TestTrickle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	never := "listener_filters_timeout: 0s"
	s := startSidecar(w, inspectingText("", part{"tls", tlsPort, "tls_inspector, http_inspector", never, askingChains(), "fallback"},
		part{"proxied", proxiedPort, "proxy_protocol, tls_inspector, http_inspector", never, askingChains(), "fallback"}), asSidecar(redirect))
	direct, proxied := newWay(w, "", w.client, w.pod, fmt.Sprintf("%s:%d", podIP, tlsPort)), newWay(w, "", w.client, w.pod, fmt.Sprintf("%s:%d", podIP, proxiedPort))
	named := chosen{"named-h2", "a.example", "tls", "h2"}
	first := hello("a.example", "h2")
	pod := [4]byte{10, 4, 0, 5}
	for _, c := range []struct {
		name   string
		way    *way
		header []byte
		stream []byte
		want   chosen
		source string // as the access log has it; "": the socket's peer
	}{
		{"ClientHello", direct, nil, first, named, ""},
		{"ClientHello in records of 3 bytes", direct, nil, inRecords(first[5:], 3), named, ""},
		{"64 KiB", direct, nil, padded("a.example", 64<<10), chosen{"named", "a.example", "tls", ""}, ""},
		{"HTTP/2", direct, nil, []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), chosen{"h2c", "", "raw_buffer", "h2c"}, ""},
		{"PROXY v1, then TLS", proxied, fmt.Appendf(nil, "PROXY TCP4 1.2.3.4 10.4.0.5 11 %d\r\n", proxiedPort), first, named, "1.2.3.4:11"},
		{"PROXY UNKNOWN, then HTTP", proxied, []byte("PROXY UNKNOWN what ever\r\n"), []byte("GET / HTTP/1.1\r\n"), chosen{"http", "", "raw_buffer", "http/1.1"}, ""},
		{"LOCAL, then TLS", proxied, headerV2(0, pod, pod, "anything"), first, named, ""},
		{"LOCAL of 64 KiB, then TLS", proxied, headerV2(0, pod, pod, strings.Repeat("x", 65535-12)), first, named, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			before := s.inspections()
			conn := dial(s.w, w.client, c.way.address) // Go sets TCP_NODELAY
			all := slices.Concat(c.header, c.stream)
			sent := 0
			for piece := range slices.Chunk(all, 1+len(all)/8000) { // more pieces would be too many
				write(t, conn, piece)
				if sent++; sent < 20 { // then at least those are segments of their own
					waitSent(s.w, conn)
				}
			}
			server := c.way.arrives(s.w, c.stream)
			server.Close()
			conn.Close()
			source := c.source
			if source == "" {
				source = conn.LocalAddr().String()
			}
			if r := s.endOf(source, c.way.address); r.chosen() != c.want || r.DirectRemote != conn.LocalAddr().String() {
				t.Errorf("record %+v", r)
			}
			moved := s.inspections().minus(before)
			if moved.resets = 0; moved.String() != "needed" {
				t.Errorf("counted %s", moved)
			}
		})
	}
}

// TestPostQuantum has crypto/tls and openssl speak TLS through sluice, after a
// ClientHello that does not fit into one packet.
func TestPostQuantum(t *testing.T) {
	t.Parallel()
	testnet.Need(t, "openssl")
	w := newWorld(t)
	w.applyRules(redirect)
	s := startSidecar(w, inspectingText("", part{"tls", tlsPort, "tls_inspector", "listener_filters_timeout: 0s", askingChains()[:4], "fallback"}), asSidecar(redirect))
	startProgram(w, w.pod, program{name: "tls", port: tlsPort, server: serveTLS})
	var protocols []string
	for i := range 40 {
		protocols = append(protocols, fmt.Sprintf("protocol-%d/%s", i, strings.Repeat("x", 30)))
	}
	protocols = append(protocols, "h2")
	if n := len(hello("a.example", protocols...)); n < 2*1460 {
		t.Fatalf("a ClientHello of %d bytes may fit into two packets", n)
	}
	conn := dial(w, w.client, fmt.Sprintf("%s:%d", podIP, tlsPort))
	client := tls.Client(conn, &tls.Config{ServerName: "a.example", NextProtos: protocols, InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	client.Close()
	if r := s.ended(conn); r.chosen() != (chosen{"named-h2", "a.example", "tls", protocols[0]}) {
		t.Errorf("record %+v", r)
	}
}

// TestPendingInspections fills the limit on connections in inspection up. Others
// that need none still pass, and whoever ends makes room.
func TestPendingInspections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	serveGreeting(w, w.pod, fmt.Sprintf("%s:%d", podIP, mysqlPort), fmt.Sprintf("%s:%d", podIP, tlsPort))
	const limit, size = 5, 20
	s := startSidecar(w, inboundText(fmt.Sprintf("limits: {max_pending_inspections: %d}\n", limit), "listener_filters_timeout: 0s"), asSidecar(redirect))
	address := fmt.Sprintf("%s:%d", podIP, tlsPort)
	for round := range 2 {
		before := s.inspections()
		var all []*net.TCPConn
		for range limit {
			all = append(all, dial(w, w.client, address))
		}
		s.waiting(limit)
		for range size {
			if r := refused(s, w.client, address); r.ending() != (ending{"proxy", "overflow", "-"}) || r.Details != "limits.max_pending_inspections is reached" || r.Chain != "" {
				t.Errorf("record %+v", r)
			}
		}
		converse(s, w.client, fmt.Sprintf("%s:%d", podIP, mysqlPort))
		for i, conn := range all { // each ends in another way
			switch i {
			case 0:
				if err := reset(conn); err != nil {
					t.Fatal(err)
				}
			case 1:
				conn.CloseWrite()
				wantReset(t, conn)
			case 2:
				write(t, conn, []byte{22, 3, 1, 0x40, 0, 1, 255, 255, 255})
				wantReset(t, conn)
			default:
				write(t, conn, []byte("are you there?\n"))
				readFull(t, conn, 1)
				if err := reset(conn); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.waiting(0)
		s.waitIdle()
		moved := s.inspections().minus(before)
		if want := (counts{needed: limit + size, skipped: 1, failed: 2, overflow: size, resets: 3}); moved != want {
			t.Errorf("round %d: counted %s, want %s", round, moved, want)
		}
	}
	page, err := os.ReadFile("../docs/filter-chains.md")
	if row := "`overflow`, proxy, `-` | limits.max_pending_inspections is reached | `needed`, `downstream_cx_overflow` |"; err != nil || !strings.Contains(string(page), row) {
		t.Errorf("docs/filter-chains.md (%v) lacks the row\n%s", err, row)
	}
}

// TestStopDuringInspection: SIGTERM ends connections that wait for their
// client's first bytes, at the latest when the drain is over.
func TestStopDuringInspection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	text := strings.Replace(inboundText("", "listener_filters_timeout: 0s"), quickDrain, "drain: {time: 300ms, min_time: 0s, strategy: immediate}\n", 1)
	s := startSidecar(w, text, asSidecar(redirect))
	conn := dial(w, w.client, fmt.Sprintf("%s:%d", podIP, tlsPort))
	write(t, conn, hello("a.example")[:100])
	waitSent(w, conn)
	s.waiting(1)
	s.signal(syscall.SIGTERM)
	wantReset(t, conn)
	if r := s.ended(conn); r.ending() != (ending{"proxy", "drain", "-"}) {
		t.Errorf("record %+v", r)
	}
	if code := s.waitEnd(); code != 0 {
		t.Errorf("sluice ended with status %d", code)
	}
}
