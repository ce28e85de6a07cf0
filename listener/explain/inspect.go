package explain

import (
	"fmt"
	"strings"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/listener"
)

// inspect goes through the listener filters; false: the connection is closed.
func (w *walk) inspect() bool {
	w.looked = w.question.hasFacts()
	if w.looked {
		w.tell("given: %s", found(&w.facts))
	}
	before := w.facts
	before.ServerName, before.TransportProtocol, before.ApplicationProtocols = "", "", nil
	switch {
	case !w.listener.Filtered():
		return true
	case !w.listener.NeedsInspection(&before):
		w.tell("listener_filters: none looks, because no chain that can still take the connection asks for what they find")
		return true
	}
	in := w.listener.Inspect(w.facts)
	in.Skip(w.answered()...)
	pending := w.pending(in)
	progress := in.Look(w.question.Payload, false, new(listener.Scratch))
	waits := in.Waits()
	w.report(in, pending, progress)
	if progress == listener.InspectionMore {
		progress = w.expire(in, waits)
	}
	w.take(in)
	if progress == listener.InspectionFailed {
		w.failed(in)
		return false
	}
	return progress == listener.InspectionDone && !w.moved(in)
}

// answered are the filters whose answers the question gives.
func (w *walk) answered() []config.ListenerFilter {
	q := w.question
	var list []config.ListenerFilter
	if len(q.Payload) == 0 && (q.DirectSource.IsValid() || q.hasFacts()) {
		list = append(list, config.FilterProxyProtocol)
	}
	if q.hasFacts() {
		list = append(list, config.FilterTLS)
	}
	if q.hasFacts() && (len(q.Payload) == 0 || len(q.ApplicationProtocols) > 0) {
		list = append(list, config.FilterHTTP)
	}
	return list
}

// pending are the listener's filters that have not looked yet, in their order.
func (w *walk) pending(in *listener.Inspection) []config.ListenerFilter {
	var list []config.ListenerFilter
	for _, f := range config.ListenerFilters() {
		if !in.Through(f) {
			list = append(list, f)
		}
	}
	return list
}

// report tells what pending filters have found, or why they did not look.
func (w *walk) report(in *listener.Inspection, pending []config.ListenerFilter, progress listener.Progress) {
	for _, f := range pending {
		if !in.Through(f) {
			if progress == listener.InspectionDone {
				w.tell("%s: does not look, because its answer changes nothing", f)
			}
			continue
		}
		switch f {
		case config.FilterProxyProtocol:
			w.tell("proxy_protocol: %s", header(in))
		case config.FilterTLS:
			hello := in.Facts
			if hello.TransportProtocol == config.TransportRawBuffer {
				hello.ApplicationProtocols = nil // they are http_inspector's
			}
			w.tell("tls_inspector: %s", found(&hello))
		case config.FilterHTTP:
			w.tell("http_inspector: %s", request(&in.Facts))
		}
	}
}

// expire tells what is missing, and goes on as when the client sends no more
// before the timeout.
func (w *walk) expire(in *listener.Inspection, waits config.ListenerFilter) listener.Progress {
	timeout := w.listener.InspectionTimeout()
	if w.question.TimedOut && timeout > 0 {
		w.answer.Detected.Inspection = TimedOut
		w.tell("%s: the client has not sent enough within %v (listener_filters_timeout)", waits, timeout)
		return in.Expire()
	}
	w.answer.Detected.Inspection = NeedMore
	w.tell("%s: needs more than %d bytes of payload, because %s", waits, len(w.question.Payload), w.asks(in, waits))
	if timeout == 0 {
		w.close(accesslog.InspectionFailed.String(), "", fmt.Sprintf("%s waits for more bytes without end, because listener_filters_timeout is 0", waits))
		return listener.InspectionMore
	}
	w.tell("listener_filters_timeout: what follows is for a client that sends no more within %v", timeout)
	return in.Expire()
}

// asks says who wants to know what a filter finds.
func (w *walk) asks(in *listener.Inspection, waits config.ListenerFilter) string {
	if waits == config.FilterProxyProtocol {
		return "the listener wants to know whether there is a PROXY header"
	}
	var criteria []string
	needs := w.listener.Needs(&in.Facts)
	for _, c := range []struct {
		asked bool
		key   string
	}{
		{needs.ServerName, "server_names"},
		{needs.TransportProtocol, "transport_protocol"},
		{needs.ApplicationProtocols, "application_protocols"},
	} {
		if c.asked {
			criteria = append(criteria, c.key)
		}
	}
	return "chains that can still take the connection ask for " + strings.Join(criteria, ", ")
}

// take keeps what the inspection found.
func (w *walk) take(in *listener.Inspection) {
	w.facts, w.looked = in.Facts, w.looked || in.NameKnown
	d := &w.answer.Detected
	d.PayloadOffset = in.Header
	if in.Version != 0 {
		d.ProxyProtocol = fmt.Sprintf("v%d", in.Version)
	}
}

func (w *walk) failed(in *listener.Inspection) {
	if w.answer.Detected.Inspection == Done {
		w.answer.Detected.Inspection = Failed
		w.tell("%s: %s", in.Waits(), in.Reason)
	}
	w.close(accesslog.InspectionFailed.String(), "", string(in.Reason))
}

// moved tells of a loop that a PROXY header leads into.
func (w *walk) moved(in *listener.Inspection) bool {
	if !in.Moved() {
		return false
	}
	_, own := w.tables.listeners.Entrances().Ports[in.Facts.Destination.Port()]
	return own && w.loop(in.Facts.Destination)
}

func header(in *listener.Inspection) string {
	switch {
	case in.Version == 0:
		return "no header; the socket's addresses stand"
	case !in.Moved():
		return fmt.Sprintf("v%d header of %d bytes without addresses; the socket's stand", in.Version, in.Header)
	}
	return fmt.Sprintf("v%d header of %d bytes: from %v to %v", in.Version, in.Header, addrPort(in.Facts.Source), addrPort(in.Facts.Destination))
}

// found are the facts of inspection in words.
func found(f *listener.Facts) string {
	text := "not TLS (raw_buffer)"
	if f.TransportProtocol == config.TransportTLS {
		text = "TLS, no server name"
		if f.ServerName != "" {
			text = fmt.Sprintf("TLS, server name %s", clipped(f.ServerName))
		}
	}
	if len(f.ApplicationProtocols) > 0 {
		text += ", application protocols " + clipped(strings.Join(f.ApplicationProtocols, ", "))
	}
	return text
}

func request(f *listener.Facts) string {
	if len(f.ApplicationProtocols) == 0 {
		return "not HTTP"
	}
	return f.ApplicationProtocols[0]
}
