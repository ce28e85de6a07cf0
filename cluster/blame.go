package cluster

import (
	"errors"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// Fault says whose fault a failed connection is. What is our own must not be
// held against an endpoint: it would be ejected for our lack of ports.
type Fault uint8

// The zero Fault is the endpoint's.
const (
	EndpointAtFault Fault = iota // refused, unreachable, timed out, reset
	HostAtFault                  // this host lacks something or forbids it
)

// String is for logs.
func (f Fault) String() string {
	if f == HostAtFault {
		return "host"
	}
	return "endpoint"
}

// Blame says whose fault err of Dial is, or what sock.TakeError gave.
func Blame(err error) Fault {
	if errors.Is(err, ErrSourceFamily) || errors.Is(err, ErrGone) || errors.Is(err, ErrSourcePorts) {
		return HostAtFault
	}
	var errno sock.Errno
	if errors.As(err, &errno) {
		return BlameErrno(errno)
	}
	return EndpointAtFault
}

// HostFault says that Blame finds this host at fault.
func HostFault(err error) bool { return Blame(err) == HostAtFault }

// BlameErrno is Blame for a bare error number.
func BlameErrno(errno sock.Errno) Fault {
	switch errno {
	case sock.EADDRNOTAVAIL, sock.EADDRINUSE: // source address or port
		return HostAtFault
	case sock.EMFILE, sock.ENFILE, sock.ENOBUFS, sock.ENOMEM: // descriptors, memory
		return HostAtFault
	case sock.EPERM, sock.EACCES: // firewall, cgroup program, security module, missing capability
		return HostAtFault
	case sock.EAFNOSUPPORT: // a kernel without IPv6
		return HostAtFault
	case sock.EINVAL: // a loopback source towards another host, see ip_route_output_key
		return HostAtFault
	}
	return EndpointAtFault
}
