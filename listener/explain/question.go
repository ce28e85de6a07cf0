package explain

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/listener"
)

// Question is a connection as it comes to a listener.
type Question struct {
	Listener    string         // its name
	Destination netip.AddrPort // the original destination
	Source      netip.AddrPort // the client; behind a PROXY header that is not in Payload, the one that it names

	// DirectSource is the socket's peer where it is not Source.
	DirectSource netip.Addr

	// Payload is the client's first bytes. Without any, but with DirectSource or
	// known facts, a PROXY header counts as read.
	Payload []byte

	// Known facts stand for what inspecting the first bytes tells; those who
	// would have found them do not look at Payload any more.
	ServerName           string
	TransportProtocol    config.TransportProtocol
	ApplicationProtocols []string

	// TimedOut: the client sends nothing after Payload, and
	// listener_filters_timeout is over.
	TimedOut bool
}

// QuestionError is what is wrong with a question.
type QuestionError struct {
	Part string // of the question, as the flag of sluice explain is called
	Err  error
}

// Error is the problem without the part's name.
func (e *QuestionError) Error() string { return e.Err.Error() }

// Unwrap is the problem.
func (e *QuestionError) Unwrap() error { return e.Err }

// hasFacts says whether the question tells anything that inspection would.
func (q *Question) hasFacts() bool {
	return q.ServerName != "" || q.TransportProtocol != "" || len(q.ApplicationProtocols) > 0
}

// check finds facts that cannot be true together.
func (q *Question) check() error {
	if q.ServerName != "" && q.TransportProtocol == config.TransportRawBuffer {
		return &QuestionError{"sni", errors.New("a server name is known of TLS only, and transport is raw_buffer; leave one of them out")}
	}
	return nil
}

// facts are what is known before anybody looks at the payload.
func (q *Question) facts(l *config.Listener) listener.Facts {
	f := listener.Facts{
		Destination:          q.Destination,
		DirectSource:         q.DirectSource,
		Source:               q.Source,
		ServerName:           q.ServerName,
		TransportProtocol:    q.TransportProtocol,
		ApplicationProtocols: q.ApplicationProtocols,
	}
	if !f.DirectSource.IsValid() {
		f.DirectSource = f.Source.Addr()
	}
	if f.TransportProtocol == "" && q.hasFacts() {
		f.TransportProtocol = q.transport(l)
	}
	return f
}

// transport is what a question means that names a server name or application
// protocols only: TLS, unless http_inspector finds just that without TLS.
func (q *Question) transport(l *config.Listener) config.TransportProtocol {
	if q.ServerName == "" && len(q.ApplicationProtocols) == 1 &&
		slices.Contains(l.ListenerFilters, config.FilterHTTP) &&
		slices.Contains([]string{"http/1.0", "http/1.1", "h2c"}, q.ApplicationProtocols[0]) {
		return config.TransportRawBuffer
	}
	return config.TransportTLS
}

// listener finds the listener that the question names.
func (t *Tables) listener(name string) (*listener.Listener, error) {
	var names []string
	for _, ln := range t.listeners.Listeners() {
		if ln.Config.Name == name {
			return ln, nil
		}
		names = append(names, ln.Config.Name)
	}
	return nil, &QuestionError{"listener", fmt.Errorf("the configuration has no listener %q; it has %s", name, strings.Join(names, ", "))}
}
