package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

const (
	// maxChain bounds the CNAME records between a name and its addresses.
	maxChain = 16
	// maxTTL bounds how long an answer holds, as RFC 2181 section 8 allows. It
	// is the bound that unbound has.
	maxTTL = 24 * time.Hour
)

// reply is what a message says to the query that it answers.
type reply struct {
	rcode     int
	truncated bool // ask again by TCP
	found     section
	// broken is why an answer without error code is as good as one with:
	// another server may know better.
	broken string
}

// interpret reads a message from the wire. An error means that it is no answer
// to q, whoever sent it, and is to be ignored.
func (q query) interpret(raw []byte) (reply, error) {
	m := new(wire.Msg)
	if err := m.Unpack(raw); err != nil {
		if q.cutOff(raw) {
			return reply{truncated: true}, nil
		}
		return reply{}, fmt.Errorf("it is not a DNS message: %w", err)
	}
	if err := q.asks(m); err != nil {
		return reply{}, err
	}
	r := reply{rcode: m.Rcode, truncated: m.Truncated}
	if m.Truncated || m.Rcode != wire.RcodeSuccess {
		return r, nil
	}
	owner, ttl, err := q.follow(m.Answer)
	if err != nil {
		r.broken = err.Error()
		return r, nil
	}
	r.found = q.collect(m.Answer, owner, ttl)
	if len(m.Answer) == 0 && !m.Authoritative && !m.RecursionAvailable && len(m.Ns) > 0 && m.Ns[0].Header().Rrtype == wire.TypeNS {
		r.broken = "a referral; the server does not resolve names for us"
	}
	return r, nil
}

// cutOff says whether a message that cannot be read is the beginning of an
// answer to q: some servers cut in the middle of a record.
func (q query) cutOff(raw []byte) bool {
	const header, response, truncation = 12, 0x80, 0x02
	return len(raw) >= header && binary.BigEndian.Uint16(raw) == q.id && raw[2]&response != 0 && raw[2]&truncation != 0
}

// follow goes from the name that was asked for along the CNAME records, which
// may stand in any order, to the name that has the addresses.
func (q query) follow(answer []wire.RR) (owner string, ttl time.Duration, err error) {
	next := make(map[string]*wire.CNAME)
	for _, rr := range answer {
		if alias, ok := rr.(*wire.CNAME); ok && next[strings.ToLower(alias.Hdr.Name)] == nil {
			next[strings.ToLower(alias.Hdr.Name)] = alias
		}
	}
	owner, ttl = strings.ToLower(q.name), maxTTL
	for range maxChain + 1 {
		alias := next[owner]
		if alias == nil {
			return owner, ttl, nil
		}
		owner, ttl = strings.ToLower(alias.Target), min(ttl, holds(alias))
	}
	return "", 0, fmt.Errorf("a loop of CNAME records, or more than %d of them", maxChain)
}

// collect takes the addresses of one name. Those of other names, which nobody
// asked for, stay out.
func (q query) collect(answer []wire.RR, owner string, ttl time.Duration) section {
	s := section{ttl: ttl}
	for _, rr := range answer {
		if !strings.EqualFold(rr.Header().Name, owner) || rr.Header().Class != wire.ClassINET || rr.Header().Rrtype != q.qtype {
			continue
		}
		if addr, ok := address(rr); ok {
			s.addrs = append(s.addrs, addr)
			s.ttl = min(s.ttl, holds(rr))
		}
	}
	return s
}

// address is that of a record, where one can connect to it. Who connects to
// 0.0.0.0 or :: reaches this host, which nobody means.
func address(rr wire.RR) (netip.Addr, bool) {
	var ip net.IP
	switch rr := rr.(type) {
	case *wire.A:
		ip = rr.A
	case *wire.AAAA:
		ip = rr.AAAA
	}
	addr, ok := netip.AddrFromSlice(ip)
	addr = addr.Unmap()
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return addr, ok && !addr.IsUnspecified() && !addr.IsMulticast() && addr != broadcast
}

// holds is the TTL of a record. With the highest bit set it counts as 0
// (RFC 2181 section 8).
func holds(rr wire.RR) time.Duration {
	ttl := rr.Header().Ttl
	if ttl > 1<<31-1 {
		return 0
	}
	return min(time.Duration(ttl)*time.Second, maxTTL)
}

// problem is why another server should be asked; nil where this one's answer
// counts.
func (r reply) problem() error {
	switch {
	case r.truncated:
		return errors.New("the answer does not fit into 64 KiB")
	case r.broken != "":
		return errors.New(r.broken)
	case r.rcode != wire.RcodeSuccess && r.rcode != wire.RcodeNameError:
		return errors.New(rcodeName(r.rcode))
	}
	return nil
}
