package dns

import (
	"errors"
	"fmt"
	"strings"

	wire "github.com/miekg/dns"
)

// maxUDP is how long an answer by UDP we say that we take: what passes without
// fragments everywhere (DNS flag day 2020).
const maxUDP = 1232

// query is one question of one message.
type query struct {
	id    uint16
	name  string // absolute
	qtype uint16 // wire.TypeA or wire.TypeAAAA
}

func newQuery(name string, qtype uint16) query { return query{wire.Id(), name, qtype} }

// pack is the message. Servers from before EDNS (RFC 6891) want it without.
func (q query) pack(edns bool) ([]byte, error) {
	m := new(wire.Msg)
	m.SetQuestion(q.name, q.qtype)
	m.Id = q.id
	if edns {
		m.SetEdns0(maxUDP, false)
	}
	raw, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("make a query for %s: %w", q.name, err)
	}
	return raw, nil
}

// asks says whether a message is an answer to q: anyone can send us one, and
// who does not see our queries has to guess the id as well as the port
// (RFC 5452). Servers that refuse may leave the question out.
func (q query) asks(m *wire.Msg) error {
	switch {
	case m.Id != q.id:
		return errors.New("it has another query's id")
	case !m.Response || m.Opcode != wire.OpcodeQuery:
		return errors.New("it is not an answer")
	case len(m.Question) == 0 && m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError:
		return nil
	case len(m.Question) != 1:
		return fmt.Errorf("it has %d questions", len(m.Question))
	}
	asked := m.Question[0]
	if !strings.EqualFold(asked.Name, q.name) || asked.Qtype != q.qtype || asked.Qclass != wire.ClassINET {
		return fmt.Errorf("it answers %s %s", typeName(asked.Qtype), asked.Name)
	}
	return nil
}

func typeName(qtype uint16) string {
	if name, ok := wire.TypeToString[qtype]; ok {
		return name
	}
	return fmt.Sprintf("TYPE%d", qtype)
}

func rcodeName(rcode int) string {
	if name, ok := wire.RcodeToString[rcode]; ok {
		return name
	}
	return fmt.Sprintf("error code %d", rcode)
}
