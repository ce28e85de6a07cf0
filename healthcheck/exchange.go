package healthcheck

import "github.com/sluiceproxy/sluice/config"

// maxUnread is how many bytes an exchange may leave for later: more than a head
// of HTTP or a frame of HTTP/2 may have.
const maxUnread = 17 << 10

// exchange is what is said on one connection, for one check after the other. It
// knows bytes only.
type exchange interface {
	// begin appends the request of the next check.
	begin(out []byte) []byte

	// take looks at what the endpoint sent and was not used yet, and says how
	// much of it is used up. Between two checks, done means that the connection
	// is of no more use.
	take(data []byte) (used int, r result)

	// ended is the result when the endpoint sent FIN before there was another.
	ended() result
}

// result is what became of a check, once it is done.
type result struct {
	done     bool
	failure  Failure
	degraded bool
	reuse    bool   // the connection is good for the next check
	again    bool   // a reused connection was at fault: ask on a new one
	reply    []byte // to be sent now, also when nothing is done yet
	reason   string
}

func failed(f Failure, reason string) result { return result{done: true, failure: f, reason: reason} }

// newExchange is for a new connection; nil when a connection is all that is
// wanted.
func newExchange(c *check, authority string) exchange {
	switch {
	case !c.listens():
		return nil
	case c.config.Type == config.HealthCheckHTTP:
		return &httpExchange{check: c, host: orText(c.config.HTTP.Host, authority), over: true}
	case c.config.Type == config.HealthCheckGRPC:
		return newGRPCExchange(c.config.GRPC.ServiceName, authority)
	}
	return &tcpExchange{check: c}
}

func orText(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
