package dns

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	wire "github.com/miekg/dns"
)

const (
	// datagram is a buffer's size: more than maxUDP, for servers that do not
	// keep to what we say.
	datagram = 4096
	// maxIgnored bounds the datagrams that are not answers to our query.
	maxIgnored = 64
)

// exchange is one question to one server.
type exchange struct {
	server  netip.AddrPort
	name    string
	qtype   uint16
	timeout time.Duration // for each message: there are up to four
}

// run asks, and asks again by TCP when the answer was cut off, and without
// EDNS when the server does not know it (RFC 6891 section 7).
func (e *exchange) run(ctx context.Context, useTCP bool) (reply, error) {
	edns := true
	for {
		r, err := e.once(ctx, useTCP, edns)
		switch {
		case err != nil:
			return reply{}, err
		case r.truncated && !useTCP:
			useTCP = true
		case edns && (r.rcode == wire.RcodeFormatError || r.rcode == wire.RcodeNotImplemented):
			edns = false
		default:
			return r, nil
		}
	}
}

// once sends one message from a port of its own and waits for what answers it.
func (e *exchange) once(ctx context.Context, useTCP, edns bool) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	network := "udp"
	if useTCP {
		network = "tcp"
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, e.server.String())
	if err != nil {
		return reply{}, e.failed(ctx, network, err)
	}
	defer conn.Close()
	// A deadline in the past ends what waits.
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()

	q := newQuery(e.name, e.qtype)
	raw, err := q.pack(edns)
	if err != nil {
		return reply{}, err
	}
	talk := q.byUDP
	if useTCP {
		talk = q.byTCP
	}
	r, err := talk(conn, raw)
	if err != nil {
		return reply{}, e.failed(ctx, network, err)
	}
	return r, nil
}

// failed prefers the reason that the context has: the deadline is its.
func (e *exchange) failed(ctx context.Context, network string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s by %s: no answer within %v: %w", e.server, network, e.timeout, ctx.Err())
	}
	return fmt.Errorf("%s by %s: %w", e.server, network, err)
}

// byUDP ignores what is not an answer to q, for the real one may follow.
func (q query) byUDP(conn net.Conn, raw []byte) (reply, error) {
	if _, err := conn.Write(raw); err != nil {
		return reply{}, err
	}
	buffer := make([]byte, datagram)
	var why error
	for range maxIgnored {
		n, err := conn.Read(buffer)
		if err != nil {
			return reply{}, err
		}
		r, err := q.interpret(buffer[:n])
		if err == nil {
			return r, nil
		}
		why = err
	}
	return reply{}, fmt.Errorf("%d messages that are no answers to the query, the last one since %w", maxIgnored, why)
}

// byTCP takes one message (RFC 7766 section 8); nobody else can have put one
// there.
func (q query) byTCP(conn net.Conn, raw []byte) (reply, error) {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(raw)), uint16(len(raw)))
	if _, err := conn.Write(append(framed, raw...)); err != nil {
		return reply{}, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return reply{}, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		return reply{}, err
	}
	r, err := q.interpret(message)
	if err != nil {
		return reply{}, fmt.Errorf("the message is no answer to the query: %w", err)
	}
	return r, nil
}
