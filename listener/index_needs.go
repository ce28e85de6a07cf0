package listener

import (
	"slices"

	"github.com/sluiceproxy/sluice/config"
)

// Needs tells which answers of inspection can still change which chain takes
// a connection.
type Needs struct{ ServerName, TransportProtocol, ApplicationProtocols bool }

// Any tells whether inspection is needed at all.
func (n Needs) Any() bool { return n.ServerName || n.TransportProtocol || n.ApplicationProtocols }

// asks is a set of answers.
type asks uint8

const (
	asksServerName asks = 1 << iota
	asksTransportProtocol
	asksApplicationProtocols
)

func asksOf(list []ref) asks {
	var all asks
	for _, to := range list {
		all |= to.asks
	}
	return all
}

// Needs follows the search as far as f decides it. Addresses and ports must be
// known. While TransportProtocol is empty, so are the answers of the TLS
// inspection: it tells what to look for before a byte is read. Once it is set,
// ServerName is final, and ApplicationProtocols are final if there are any or
// the connection is TLS; what is needed then is what another inspection can
// still tell of a connection that is not TLS.
//
// It may ask in vain: where chains behind many names differ only by what comes
// after them, it does not look whether they all refuse this client. It never
// leaves out what matters.
func (x *Index) Needs(f *Facts) Needs {
	if x.root.asks == 0 {
		return Needs{}
	}
	at := x.known(f)
	if at.asks == 0 {
		return Needs{}
	}
	if _, same := x.sole(at, f); same {
		return Needs{}
	}
	return Needs{
		ServerName:           at.asks&asksServerName != 0,
		TransportProtocol:    at.asks&asksTransportProtocol != 0,
		ApplicationProtocols: at.asks&asksApplicationProtocols != 0,
	}
}

// known is where the search stops for want of an answer.
func (x *Index) known(f *Facts) ref {
	inspected := f.TransportProtocol != ""
	at := x.root
	for {
		switch {
		case at.level == destinationPort:
			at = x.ports[at.index].find(f.Destination.Port())
		case at.level == destinationPrefix:
			at = x.prefixes[at.index].find(f.Destination.Addr())
		case at.level == serverName && inspected:
			at = x.serverNames[at.index].find(f.ServerName)
		case at.level == transportProtocol && inspected:
			at = x.transports[at.index].find(f.TransportProtocol)
		case at.level == applicationProtocol && (f.TransportProtocol == config.TransportTLS || len(f.ApplicationProtocols) > 0):
			at = x.protocols[at.index].find(f.ApplicationProtocols)
		default:
			return at
		}
	}
}

// branches are the ways on from a table that an answer decides between.
type branches struct {
	refs []ref
	asks asks
	many bool // more than refs has
}

// fewBranches bounds what sole looks at, to eight to the power of the three
// levels of inspection.
const fewBranches = 8

func (s *branches) add(to ref) {
	s.asks |= to.asks
	switch {
	case s.many || slices.Contains(s.refs, to):
	case len(s.refs) == fewBranches:
		s.refs, s.many = nil, true
	default:
		s.refs = append(s.refs, to)
	}
}

// sole is the chain, or NoMatch, that all answers from at on lead to.
func (x *Index) sole(at ref, f *Facts) (chain int, same bool) {
	if at.level < serverName || at.level > applicationProtocol {
		return x.from(at, f), true
	}
	ways := &x.ways[at.level-serverName][at.index]
	if ways.many {
		return 0, false
	}
	for i, to := range ways.refs {
		next, same := x.sole(to, f)
		if !same || i > 0 && next != chain {
			return 0, false
		}
		chain = next
	}
	return chain, true
}
