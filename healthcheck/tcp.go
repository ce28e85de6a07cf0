package healthcheck

import (
	"bytes"
	"fmt"
)

// maxTCPAnswer ends an answer that never has what is wanted.
const maxTCPAnswer = 1 << 20

// tcpExchange sends bytes and looks for others, in order, with anything in
// between (Envoy's PayloadMatcher), or only for a reaction to a FIN.
type tcpExchange struct {
	check *check
	found int // blocks
	taken int // bytes
}

func (e *tcpExchange) begin(out []byte) []byte { return append(out, e.check.send...) }

func (e *tcpExchange) take(data []byte) (used int, r result) {
	for _, block := range e.check.receive[e.found:] {
		at := bytes.Index(data[used:], block)
		if at < 0 {
			return e.skip(data, used, len(block)-1)
		}
		used += at + len(block)
		e.found++
	}
	return used, result{done: true}
}

// skip gives up what cannot be the beginning of a block.
func (e *tcpExchange) skip(data []byte, used, tail int) (int, result) {
	used = max(used, len(data)-tail)
	e.taken += used
	if e.taken > maxTCPAnswer {
		return used, failed(Network, fmt.Sprintf("%d bytes came without the %s", maxTCPAnswer, e.wanted()))
	}
	return used, result{}
}

func (e *tcpExchange) ended() result {
	if len(e.check.receive) == 0 {
		return result{done: true} // the reaction that was wanted
	}
	return failed(Network, "the connection was closed without the "+e.wanted())
}

func (e *tcpExchange) wanted() string {
	return fmt.Sprintf("expected bytes (receive[%d])", e.found)
}
