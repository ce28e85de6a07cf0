package test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// part is a listener without a socket of its own, which gets the connections to
// one port of the pod.
type part struct {
	name     string
	port     int
	filters  string   // listener_filters
	keys     string   // more keys of the listener
	chains   []string // "name: match", the first of them matched by the index
	fallback string   // the name of the default chain; "": none
}

// inspectingText captures by REDIRECT and hands over to the parts. Every chain
// leads to where the connection wanted to go, but those of a part with an
// endpoint in its keys.
func inspectingText(top string, parts ...part) string {
	var b strings.Builder
	b.WriteString(head + quickDrain + top + `listeners:
- name: virtualInbound
  address: 0.0.0.0:15006
  direction: inbound
  interception_mode: redirect
  use_original_dst: true
  default_filter_chain: {name: passthrough, tcp_proxy: {cluster: original}}
`)
	for _, p := range parts {
		fmt.Fprintf(&b, "- {name: %s, address: \"0.0.0.0:%d\", bind: false, direction: inbound, interception_mode: redirect, listener_filters: [%s]%s",
			p.name, p.port, p.filters, commaBefore(p.keys))
		if p.fallback != "" {
			fmt.Fprintf(&b, ", default_filter_chain: {name: %s, tcp_proxy: {cluster: original}}", p.fallback)
		}
		b.WriteString(", filter_chains: [")
		for i, c := range p.chains {
			name, match, _ := strings.Cut(c, ": ")
			fmt.Fprintf(&b, "%s\n    {name: %s, match: %s, tcp_proxy: {cluster: original}}", []string{"", ","}[min(i, 1)], name, match)
		}
		b.WriteString("]}\n")
	}
	b.WriteString("clusters: [{name: original, type: original_dst, upstream_bind_address: 127.0.0.6}]\n")
	return b.String()
}

// hello is the ClientHello that crypto/tls sends: it has post-quantum keys, and
// with them and some more names does not fit into one packet.
func hello(name string, protocols ...string) []byte {
	var conn written
	_ = tls.Client(&conn, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: protocols}).Handshake() // there is no server
	return conn.Bytes()
}

// written is a connection that keeps what is written to it and has nothing to
// read.
type written struct {
	net.Conn
	bytes.Buffer
}

func (w *written) Read([]byte) (int, error)    { return 0, io.EOF }
func (w *written) Write(b []byte) (int, error) { return w.Buffer.Write(b) }
func (w *written) Close() error                { return nil }

// padded is a valid ClientHello that takes exactly size bytes of the stream, in
// records as large as they may be.
func padded(name string, size int) []byte {
	const record, header = 1 << 14, 5
	message := hello(name)[header:]
	records := (size + record + header - 1) / (record + header)
	padding := make([]byte, size-records*header-len(message)-4)

	at := 4 + 2 + 32
	at += 1 + int(message[at])
	at += 2 + int(binary.BigEndian.Uint16(message[at:]))
	at += 1 + int(message[at])
	extensions := int(binary.BigEndian.Uint16(message[at:])) + 4 + len(padding)
	binary.BigEndian.PutUint16(message[at:], uint16(extensions))
	message = binary.BigEndian.AppendUint16(append(message, 0, 21), uint16(len(padding))) // RFC 7685
	message = append(message, padding...)
	body := len(message) - 4
	message[1], message[2], message[3] = byte(body>>16), byte(body>>8), byte(body)
	return inRecords(message, record)
}

// inRecords puts a handshake message into records of a size.
func inRecords(message []byte, size int) []byte {
	var out []byte
	for part := range slices.Chunk(message, size) {
		out = append(binary.BigEndian.AppendUint16(append(out, 22, 3, 1), uint16(len(part))), part...)
	}
	return out
}

// headerV2 is a PROXY header; command 0 is LOCAL, 1 PROXY.
func headerV2(command byte, source, destination [4]byte, more string) []byte {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x20|command, 0x11)
	b = binary.BigEndian.AppendUint16(b, uint16(12+len(more)))
	b = append(append(append(b, source[:]...), destination[:]...), 0, 11, 0, 22)
	return append(b, more...)
}

// counts is what moved among the counters that inspections have.
type counts struct{ needed, skipped, timedOut, failed, preCxTimeout, overflow, noChain, loopGuard, resets float64 }

// inspections reads them all.
func (s *sidecar) inspections() counts {
	m := s.metrics()
	of := func(result string) float64 { return m.sum("sluice_inspection_total", fmt.Sprintf("result=%q", result)) }
	return counts{of("needed"), of("skipped"), of("timed_out"), of("failed"), m.sum("envoy_listener_downstream_pre_cx_timeout"),
		m.sum("envoy_listener_downstream_cx_overflow"), m.sum("envoy_listener_no_filter_chain_match"), m.sum("sluice_loop_guard_total"),
		m.sum("sluice_connection_resets_total")}
}

// minus is the difference of two readings.
func (c counts) minus(o counts) counts {
	return counts{c.needed - o.needed, c.skipped - o.skipped, c.timedOut - o.timedOut, c.failed - o.failed, c.preCxTimeout - o.preCxTimeout,
		c.overflow - o.overflow, c.noChain - o.noChain, c.loopGuard - o.loopGuard, c.resets - o.resets}
}

// String names what moved.
func (c counts) String() string {
	var moved []string
	for _, one := range []struct {
		name  string
		moved float64
	}{{"needed", c.needed}, {"skipped", c.skipped}, {"timed_out", c.timedOut}, {"failed", c.failed}, {"downstream_pre_cx_timeout", c.preCxTimeout},
		{"downstream_cx_overflow", c.overflow}, {"no_filter_chain_match", c.noChain}, {"sluice_loop_guard_total", c.loopGuard},
		{"sluice_connection_resets_total", c.resets}} {
		switch one.moved {
		case 0:
		case 1:
			moved = append(moved, one.name)
		default:
			moved = append(moved, fmt.Sprintf("%s %v times", one.name, one.moved))
		}
	}
	return strings.Join(moved, ", ")
}

// waitCounts waits until no more and no less has moved since before.
func (s *sidecar) waitCounts(before counts, want string) {
	s.w.Helper()
	s.w.eventually(func() error {
		if got := s.inspections().minus(before).String(); got != want {
			return fmt.Errorf("counted %q, want %q", got, want)
		}
		return nil
	})
}

// waiting waits until n connections are in inspection.
func (s *sidecar) waiting(n float64) {
	s.w.Helper()
	s.waitMetric(n, "envoy_listener_downstream_pre_cx_active")
}

// arrives waits for the connection at the server, which must see exactly stream.
func (v *way) arrives(w *world, stream []byte) *net.TCPConn {
	w.Helper()
	var server *net.TCPConn
	select {
	case server = <-v.accepted:
	case <-time.After(patience):
		w.Fatal("the connection does not arrive at the server")
	}
	own(w, server)
	if got := readFull(w, server, len(stream)); !bytes.Equal(got, stream) {
		w.Errorf("the server gets %d other bytes than were sent", len(got))
	}
	return server
}
