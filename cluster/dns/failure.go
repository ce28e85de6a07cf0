package dns

import (
	"fmt"
)

// Kind is why a lookup found nothing, for counters.
type Kind string

// KindName is a name that cannot be asked for. KindNotFound is NXDOMAIN, and
// KindEmpty a name without addresses of the wanted families (NODATA, RFC 2308
// section 2.2). KindTimeout is silence. KindServer is all else: an error code
// of the server, an answer that makes no sense, no way to the server.
const (
	KindName     Kind = "name"
	KindNotFound Kind = "not found"
	KindEmpty    Kind = "empty"
	KindTimeout  Kind = "timeout"
	KindServer   Kind = "server"
)

// Failure is the error of a lookup.
type Failure struct {
	Name string
	Kind Kind
	Err  error
	// silent: no server answered anything, so that it is not known whether the
	// name exists.
	silent bool
}

// Error says what was asked, of whom, and what came back.
func (f *Failure) Error() string { return fmt.Sprintf("look up %s: %v", f.Name, f.Err) }

// Unwrap is the error beneath.
func (f *Failure) Unwrap() error { return f.Err }

// truth says whether the servers said that there is nothing, as opposed to
// being unable to say.
func (f *Failure) truth() bool { return f.Kind == KindNotFound || f.Kind == KindEmpty }

// worse is the failure that tells more of why a lookup failed; nil is none.
func worse(a, b *Failure) *Failure {
	if a == nil || b != nil && b.rank() > a.rank() {
		return b
	}
	return a
}

func (f *Failure) rank() int {
	switch f.Kind {
	case KindNotFound:
		return 0
	case KindEmpty:
		return 1
	case KindServer:
		return 2
	}
	return 3
}
