package listener

import (
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/listener/inspect"
)

// Inspection is one connection's way through the listener filters. It sees only
// bytes, so that `sluice explain` goes the same way as the daemon.
type Inspection struct {
	// Facts are what is known so far; complete when Look says InspectionDone.
	Facts Facts
	// Header is how many bytes at the stream's beginning are a PROXY header, to
	// be taken off before anybody else sees the stream.
	Header int
	// NameKnown says whether Facts.ServerName is what the client asked for, or
	// nothing because it asked for none. It is false where nobody has looked,
	// or what came could not be read.
	NameKnown bool
	// Version of the PROXY header; 0: there was none.
	Version uint8
	// Reason says why the connection must be closed, without a byte of the peer's.
	Reason inspect.Reason
	// Details are for access logs; nil: there are none.
	Details *Details

	listener *Listener
	proxied  bool // proxy_protocol is through
	helloed  bool // tls_inspector is
	asked    bool // http_inspector is
	seen     int  // bytes at the last look
	looks    int
	local    bool // the PROXY header gave no addresses

	records inspect.Records
	line    inspect.RequestLine
}

// Progress is how far an inspection has come.
type Progress uint8

// The kinds of progress. After all but InspectionMore there is no further look.
const (
	InspectionMore   Progress = iota // more bytes have to come
	InspectionDone                   // the chain can be chosen
	InspectionFailed                 // the connection must be closed
)

// What is wrong with a connection beside what its bytes are.
const (
	NoHeader       inspect.Reason = "no PROXY header, which this listener asks for"
	Untrusted      inspect.Reason = "a PROXY header from a peer that is not within trusted_prefix_ranges"
	Disallowed     inspect.Reason = "a PROXY header of a version that disallowed_versions has"
	EndedEarly     inspect.Reason = "the end of the stream within what was to be inspected"
	TimedOut       inspect.Reason = "not enough bytes within listener_filters_timeout"
	OutOfTime      inspect.Reason = "nothing within listener_filters_timeout, and continue_on_listener_filters_timeout is false"
	TooManyPieces  inspect.Reason = "more than 8192 pieces before it was known what they are"
	TooManyPending inspect.Reason = "limits.max_pending_inspections is reached"
)

// Inspect begins an inspection with what is known without a byte.
func (l *Listener) Inspect(f Facts) *Inspection {
	return &Inspection{Facts: f, listener: l, proxied: !l.filters.proxy, helloed: !l.filters.tls, asked: !l.filters.http}
}

// Skip leaves filters out whose answers are in Facts already, because somebody
// says so.
func (i *Inspection) Skip(filters ...config.ListenerFilter) {
	for _, f := range filters {
		*i.through(f) = true
	}
}

// Through says whether a filter of the listener has nothing more to look for.
func (i *Inspection) Through(f config.ListenerFilter) bool { return *i.through(f) }

func (i *Inspection) through(f config.ListenerFilter) *bool {
	switch f {
	case config.FilterProxyProtocol:
		return &i.proxied
	case config.FilterTLS:
		return &i.helloed
	default:
		return &i.asked
	}
}

// Waits is the filter that Look wants more bytes for.
func (i *Inspection) Waits() config.ListenerFilter {
	switch {
	case !i.proxied:
		return config.FilterProxyProtocol
	case !i.helloed:
		return config.FilterTLS
	}
	return config.FilterHTTP
}

// maxLooks bounds what one connection may cost. The kernel walks over all segments
// for each peek: 8192 looks at 8 KiB in single bytes take 80 ms, 32768 at 32 KiB
// more than a second.
const maxLooks = 8192

// Look sees all bytes from the stream's beginning that have come so far; ended
// says that no more will. It keeps none of them.
func (i *Inspection) Look(stream []byte, ended bool, scratch *Scratch) Progress {
	i.seen = len(stream)
	progress := i.look(stream, scratch)
	if i.looks++; progress == InspectionMore && i.looks > maxLooks {
		return i.fail(TooManyPieces)
	}
	if progress == InspectionMore && ended {
		return i.fail(EndedEarly)
	}
	return progress
}

func (i *Inspection) look(stream []byte, scratch *Scratch) Progress {
	if !i.proxied {
		if progress := i.readHeader(stream); progress != InspectionDone {
			return progress
		}
	}
	for {
		needs := i.listener.needs(&i.Facts)
		switch {
		case !needs.Any():
			return i.finish()
		case !i.helloed:
			if progress := i.readHello(stream[i.Header:], scratch); progress != InspectionDone {
				return progress
			}
		case i.Facts.TransportProtocol == "":
			i.finish() // without tls_inspector
		case !i.asked && needs.ApplicationProtocols && i.Facts.TransportProtocol != config.TransportTLS:
			if progress := i.readRequest(stream[i.Header:]); progress != InspectionDone {
				return progress
			}
		default:
			return InspectionDone
		}
	}
}

// finish calls what nobody has found to be TLS raw_buffer, as Envoy does.
func (i *Inspection) finish() Progress {
	if i.Facts.TransportProtocol == "" {
		i.Facts.TransportProtocol = config.TransportRawBuffer
	}
	return InspectionDone
}

func (i *Inspection) fail(why inspect.Reason) Progress {
	i.Reason = why
	return InspectionFailed
}

// readHeader reads the PROXY header. A peer that is not trusted may go without
// one where that is allowed, but never with one: what is behind us might trust it.
func (i *Inspection) readHeader(stream []byte) Progress {
	var header inspect.ProxyHeader
	filters := &i.listener.filters
	verdict := header.Parse(stream, maxProxyHeader)
	if verdict.State != inspect.Foreign && header.Version != 0 {
		if !filters.trusts(i.Facts.DirectSource) {
			return i.fail(Untrusted)
		}
		if filters.disallowed[header.Version] {
			return i.fail(Disallowed)
		}
	}
	switch verdict.State {
	case inspect.More:
		return InspectionMore
	case inspect.Malformed:
		return i.fail(verdict.Reason)
	case inspect.Foreign:
		if !filters.optional {
			return i.fail(NoHeader)
		}
	case inspect.Done:
		i.take(&header, verdict.Bytes)
	}
	i.proxied = true
	return InspectionDone
}

// take believes a PROXY header: from here on all addresses are its own.
func (i *Inspection) take(header *inspect.ProxyHeader, size int) {
	i.Header, i.Version, i.local = size, header.Version, header.Local
	if !header.Local {
		i.Facts.Source, i.Facts.Destination = header.Source, header.Destination
		i.keepTLVs(header.TLVs)
	}
}

// Moved says whether a PROXY header gave the connection other addresses.
func (i *Inspection) Moved() bool { return i.Version != 0 && !i.local }

// readHello reads the ClientHello, if it is one. What began as one and cannot
// be had whole closes the connection: a chain that asks for a server name must
// not be passed by with a name that nobody could read.
func (i *Inspection) readHello(stream []byte, scratch *Scratch) Progress {
	hello := &scratch.hello
	switch verdict := hello.ParseOn(stream, i.listener.filters.maxHello, &i.records); verdict.State {
	case inspect.More:
		return InspectionMore
	case inspect.Malformed:
		if verdict.Reason == inspect.TooLarge || i.listener.filters.strict {
			return i.fail(verdict.Reason)
		}
		i.Facts.TransportProtocol = config.TransportRawBuffer
	case inspect.Foreign:
		i.Facts.TransportProtocol, i.NameKnown = config.TransportRawBuffer, true
	case inspect.Done:
		i.Facts.TransportProtocol, i.NameKnown = config.TransportTLS, true
		i.Facts.ServerName = string(hello.ServerName)
		for protocol := range hello.Protocols.All() {
			i.Facts.ApplicationProtocols = append(i.Facts.ApplicationProtocols, string(protocol))
		}
		i.fingerprint(hello)
	}
	i.helloed = true
	return InspectionDone
}

// readRequest tells the version of HTTP. What is not HTTP has no application
// protocol, which is an answer too.
func (i *Inspection) readRequest(stream []byte) Progress {
	protocol, verdict := i.line.Parse(stream, i.listener.filters.maxHello)
	switch verdict.State {
	case inspect.More:
		return InspectionMore
	case inspect.Malformed:
		return i.fail(verdict.Reason)
	case inspect.Done:
		i.Facts.ApplicationProtocols = []string{protocol}
	}
	i.asked = true
	return InspectionDone
}

// Expire says what becomes of a connection that has not sent enough in time. One
// whose server is to speak first has sent nothing, and goes on where the listener
// says so; a header or a ClientHello that was begun must be ended.
func (i *Inspection) Expire() Progress {
	filters := &i.listener.filters
	switch {
	case !filters.goOn && i.seen <= i.Header:
		return i.fail(OutOfTime)
	case i.seen > i.Header && !i.helloed, i.seen > 0 && !i.proxied, !filters.goOn:
		return i.fail(TimedOut)
	case !i.proxied && !filters.optional:
		return i.fail(NoHeader)
	}
	i.proxied, i.helloed, i.asked = true, true, true
	return i.finish()
}
