package cluster

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// Origin is what Dial must know of the connection that it dials for.
type Origin struct {
	Client netip.Addr // whose address transparent_source dials from; the invalid Addr: this host's own, for checks
	OnHost bool       // the endpoint is an address of this host
	Knock  bool       // nothing will be sent: see sock.DialOptions.DelayAck

	// Descriptors is how many of the process's descriptors connections may use: see
	// sock.DialOptions.
	Descriptors int

	// Claim is asked for each source address under transparent_source, before
	// the first packet leaves; false has another port tried.
	Claim func(source netip.AddrPort) bool
}

// Dial starts connecting to ep from the configured source and returns without
// waiting: the socket turns writable when it is done, and sock.TakeError tells
// how it went. The caller owns fd. Towards this host and loopback
// tcp_user_timeout is not set, because nothing gets lost on the way. Errors mean
// that nothing was sent; Blame says whose fault.
func (c *Cluster) Dial(ep Endpoint, origin Origin) (fd int, err error) {
	remote := ep.Address.Addr()
	transparent := c.transparent && origin.Client.IsValid()
	o := sock.DialOptions{Keepalive: c.keepalive.Spread(), Transparent: transparent, Mark: c.mark, DelayAck: origin.Knock, Descriptors: origin.Descriptors}
	if !origin.OnHost && !remote.IsLoopback() {
		o.UserTimeout = c.userTimeout
	}
	source := c.source.of(remote)
	if transparent {
		source, o.Claim = origin.Client.Unmap(), origin.Claim
		if source.Is4() != remote.Is4() {
			return -1, fmt.Errorf("cluster %q: dial %s from %s: %w", c.Name, ep.Address, source, ErrSourceFamily)
		}
	}
	if source.IsValid() {
		o.Source = netip.AddrPortFrom(source, 0)
	}
	fd, err = sock.Dial(ep.Address, &o)
	if err != nil {
		return -1, fmt.Errorf("cluster %q: dial %s: %w", c.Name, ep.Address, explain(source, err))
	}
	return fd, nil
}

// explain tells what the system calls mean. EADDRNOTAVAIL from bind(2): the host
// has no such address. From connect(2), where the port is chosen, or EADDRINUSE
// from bind(2), where it is chosen under Origin.Claim: all ports are taken.
func explain(source netip.Addr, err error) error {
	var at *sock.Error
	if !errors.As(err, &at) {
		return err
	}
	switch {
	case at.Errno == sock.EADDRNOTAVAIL && at.Op == "bind":
		return missingSource(source, err)
	case at.Errno == sock.EADDRNOTAVAIL, at.Errno == sock.EADDRINUSE && at.Op == "bind":
		return noPort(source, err)
	}
	return err
}

func noPort(source netip.Addr, err error) error {
	from := "this host"
	if source.IsValid() {
		from = source.String()
	}
	return fmt.Errorf("%w from %s to this endpoint: set net.ipv4.tcp_tw_reuse=1 or widen net.ipv4.ip_local_port_range: %w",
		ErrSourcePorts, from, err)
}
