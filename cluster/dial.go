package cluster

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// Dial starts connecting to ep from the configured source and returns without
// waiting: the socket turns writable when it is done, and sock.TakeError tells
// how it went. The caller owns fd. client is the downstream connection's
// source, which transparent_source dials from. onHost says that ep is an
// address of this host: TCP_USER_TIMEOUT is not set then, and never towards
// loopback, because nothing gets lost on the way and a slow reader is not a
// dead one. Errors mean that nothing was sent; Blame says whose fault.
func (c *Cluster) Dial(ep Endpoint, client netip.Addr, onHost bool) (fd int, err error) {
	remote := ep.Address.Addr()
	o := sock.DialOptions{Keepalive: c.keepalive, Transparent: c.transparent, Mark: c.mark}
	if !onHost && !remote.IsLoopback() {
		o.UserTimeout = c.userTimeout
	}
	source := c.source.of(remote)
	if c.transparent {
		source = client.Unmap()
		if source.Is4() != remote.Is4() {
			return -1, fmt.Errorf("cluster %q: dial %s from %s: %w", c.Name, ep.Address, client, ErrSourceFamily)
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

// explain tells the two meanings of EADDRNOTAVAIL apart. From bind(2) the host
// has no such address; from connect(2), where the port is chosen, all ports
// from there to this endpoint are taken.
func explain(source netip.Addr, err error) error {
	var at *sock.Error
	if !errors.As(err, &at) || at.Errno != sock.EADDRNOTAVAIL {
		return err
	}
	if at.Op == "bind" {
		return missingSource(source, err)
	}
	from := "this host"
	if source.IsValid() {
		from = source.String()
	}
	return fmt.Errorf("%w from %s to this endpoint: set net.ipv4.tcp_tw_reuse=1 or widen net.ipv4.ip_local_port_range: %w",
		ErrSourcePorts, from, err)
}
