package explain

import (
	"fmt"
	"net/netip"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/accesslog"
	"github.com/sluiceproxy/sluice/listener"
)

// walk is one connection's way, in the order of listener.Acceptor and
// proxy.Connection.
type walk struct {
	tables   *Tables
	question *Question
	listener *listener.Listener
	facts    listener.Facts
	looked   bool // for a server name
	answer   Answer
}

// run goes as far as the connection comes.
func (w *walk) run() {
	w.facts = w.question.facts(w.listener.Config)
	if w.ownPort() {
		return
	}
	w.handOver()
	if !w.inspect() {
		return
	}
	chain := w.choose()
	if chain == nil {
		w.close(accesslog.NoFilterChain.String(), accesslog.NoRouteFound.String(), w.noChain())
		return
	}
	w.answer.FilterChain = chain.Name
	if w.permits(chain) {
		w.route(&chain.TCPProxy)
	}
}

// tell adds a step.
func (w *walk) tell(format string, args ...any) {
	w.answer.Steps = append(w.answer.Steps, Step{Text: fmt.Sprintf(format, args...)})
}

// close ends the connection.
func (w *walk) close(reason, flags, text string) {
	w.answer.Verdict, w.answer.ResponseFlags, w.answer.Reason = Close, flags, reason+": "+text
}

// ownPort tells of a loop. The daemon asks for this host's addresses; here only
// loopback ones are certain.
func (w *walk) ownPort() bool {
	to := w.question.Destination
	if !w.listener.Mode.Captures() || !w.tables.listeners.CapturePort(to.Port()) {
		return false
	}
	return w.loop(to)
}

func (w *walk) loop(to netip.AddrPort) bool {
	if addr := to.Addr().Unmap(); addr.IsLoopback() || addr.IsUnspecified() {
		w.close(accesslog.LoopGuard.String(), "", fmt.Sprintf("%v is a port of sluice's own on this host", to))
		return true
	}
	w.tell("loop guard: port %d is one of sluice's own; if %v is an address of this host, the connection is reset as a loop", to.Port(), to.Addr())
	return false
}

// handOver finds whose connection it is.
func (w *walk) handOver() {
	from := w.listener
	if !from.Config.UseOriginalDst {
		return
	}
	w.listener = w.tables.listeners.Owner(from, w.question.Destination)
	if w.listener == from {
		w.tell("use_original_dst: no other listener has the address %v, or the wildcard address with port %d; %s keeps it",
			w.question.Destination, w.question.Destination.Port(), from.Config.Name)
		return
	}
	w.tell("use_original_dst: %s hands over to %s, whose address is %v", from.Config.Name, w.listener.Config.Name, w.listener.Config.Address)
}

// choose finds the filter chain; nil: none.
func (w *walk) choose() *config.FilterChain {
	cfg := w.listener.Config
	match, steps := w.listener.Trace(&w.facts)
	total := len(cfg.FilterChains)
	for _, s := range steps {
		w.answer.Steps = append(w.answer.Steps, Step{Text: criterion(&s, total), Excluded: w.names(s.Excluded)})
	}
	if match != listener.NoMatch {
		if len(steps) == 0 {
			w.tell("filter_chains: %s is the only one and takes everything", cfg.FilterChains[match].Name)
		}
		return &cfg.FilterChains[match]
	}
	switch {
	case cfg.DefaultFilterChain == nil:
		return nil
	case total == 0:
		w.tell("filter_chains: there are none; default_filter_chain takes everything")
	default:
		w.tell("filter_chains: none takes it; default_filter_chain does")
	}
	return cfg.DefaultFilterChain
}

// names are those of filter chains.
func (w *walk) names(chains []int) []string {
	var list []string
	for _, c := range chains {
		list = append(list, w.listener.Config.FilterChains[c].Name)
	}
	return list
}

// noChain says why no chain takes the connection.
func (w *walk) noChain() string {
	text := "no filter chain takes it, and there is no default_filter_chain"
	if almost := w.names(w.listener.Fitting(&w.facts)); len(almost) > 0 {
		text += "; " + few(almost) + " would fit, but lost earlier to a more specific value, which is never taken back"
	}
	return text
}

// finish fills what no step has.
func (w *walk) finish() *Answer {
	a, f := &w.answer, &w.facts
	a.Listener = w.listener.Config.Name
	d := &a.Detected
	d.TransportProtocol, d.ServerName = f.TransportProtocol, f.ServerName
	d.ApplicationProtocols = append([]string{}, f.ApplicationProtocols...)
	d.Source, d.Destination, d.DirectSource = addrPort(f.Source), addrPort(f.Destination), addr(f.DirectSource)
	a.Steps = append([]Step{}, a.Steps...)
	a.Endpoints = append([]Endpoint{}, a.Endpoints...)
	return a
}

func addrPort(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return unmapped(a).String()
}

// unmapped takes an IPv4 address in IPv6 form for IPv4.
func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}
