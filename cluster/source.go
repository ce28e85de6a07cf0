package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// sourceByFamily is where upstream connections come from, for each family of
// the endpoint's address; the zero Addr leaves it to the kernel.
type sourceByFamily struct{ v4, v6 netip.Addr }

// newSourceByFamily understands upstream_bind_address. The sidecar's own
// addresses 127.0.0.6 and ::6 are twins: whoever configures one means the
// other for endpoints of the other family, as Istio's two passthrough clusters
// do. Any other address serves its own family only, and connections of the
// other one are left unbound: there is nothing to guess from.
func newSourceByFamily(bind netip.Addr) sourceByFamily {
	bind = bind.Unmap()
	twins := sourceByFamily{v4: netip.AddrFrom4([4]byte{127, 0, 0, 6}), v6: netip.AddrFrom16([16]byte{15: 6})}
	switch {
	case bind == twins.v4 || bind == twins.v6:
		return twins
	case bind.Is4():
		return sourceByFamily{v4: bind}
	}
	return sourceByFamily{v6: bind}
}

func (s sourceByFamily) of(remote netip.Addr) netip.Addr {
	if remote.Is4() {
		return s.v4
	}
	return s.v6
}

// CheckSource tells at start what would otherwise fail at the first
// connection: that this host does not have upstream_bind_address, and how to
// mend it. On a host without IPv6 an IPv6 one is never used, and not missed.
func (c *Cluster) CheckSource() error {
	if !c.bind.IsValid() || c.bind.Is6() && canBind(netip.IPv6Loopback()) != nil {
		return nil
	}
	err := canBind(c.bind)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sock.EADDRNOTAVAIL):
		return fmt.Errorf("cluster %q: %w", c.Name, missingSource(c.bind, err))
	}
	return fmt.Errorf("cluster %q: check upstream_bind_address %s: %w", c.Name, c.bind, err)
}

// canBind binds a UDP socket, which takes no TCP port and sends nothing.
func canBind(source netip.Addr) error {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// missingSource explains that this host has no such address. IPv4 loopback is
// a whole network, so only ::6 has to be added by hand.
func missingSource(source netip.Addr, err error) error {
	help := "give it to an interface, or change upstream_bind_address"
	if source == netip.AddrFrom16([16]byte{15: 6}) {
		help = "run `ip -6 addr add ::6/128 dev lo`"
	}
	return fmt.Errorf("%w: %s is not an address of this host, %s: %w", ErrSourceAddress, source, help, err)
}
