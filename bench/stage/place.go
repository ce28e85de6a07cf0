package stage

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// proxyID is the uid and gid by which the capture rules know the proxy.
const proxyID = 1337

// Addresses of the two hosts of a captured subject.
const (
	nearIP      = "10.5.0.1" // the client's
	farIP       = "10.5.0.2" // the backend's
	backendPort = 9080
)

// place is where one subject runs: one host for all, or two.
type place struct {
	mode                   bench.Mode
	cast                   *cast // nil on one host
	client, proxy, backend spot
	captured               *testnet.Host // the one that the capture rules are for
}

// newPlace makes the hosts that a mode needs.
func newPlace(mode bench.Mode) (*place, error) {
	p := &place{mode: mode}
	if mode == bench.Explicit {
		return p, nil
	}
	p.cast = &cast{}
	if err := p.cast.do(p.build); err != nil {
		return nil, fmt.Errorf("make two hosts: %w", errors.Join(err, p.close()))
	}
	return p, nil
}

// build joins two hosts and gives everybody his place on them.
func (p *place) build() {
	net := testnet.New(p.cast)
	near, far := net.Host("near"), net.Host("far")
	net.Link(near, nearIP+"/24", far, farIP+"/24")
	for _, host := range []*testnet.Host{near, far} {
		// Many short connections between the same two addresses: as many ports
		// as there are above those that are listened on, and again at once.
		host.Sysctl("net.ipv4.ip_local_port_range", "16384 65535")
		host.Sysctl("net.ipv4.tcp_tw_reuse", "1")
	}
	p.client, p.backend = spot{near}, spot{far}
	switch p.mode {
	case bench.Redirect:
		p.captured = near
		p.proxy = spot{near.As(proxyID, proxyID)}
	case bench.TProxy:
		p.captured = far
		p.proxy = spot{far.As(proxyID, proxyID, "net_admin")}
	}
}

// capture applies the rules that send connections to the proxy. There are none
// on one host.
func (p *place) capture(sluice string) error {
	if p.cast == nil {
		return nil
	}
	interception := "REDIRECT"
	if p.mode == bench.TProxy {
		interception = "TPROXY"
	}
	err := p.cast.do(func() {
		p.captured.Run(sluice, "iptables", "apply", "-m", interception)
		// Connections that have ended would fill the kernel's table, which is
		// one for the whole machine and remembers them for minutes.
		for _, state := range []string{"time_wait", "close", "fin_wait", "last_ack"} {
			p.captured.Sysctl("net.netfilter.nf_conntrack_tcp_timeout_"+state, "1")
		}
	})
	if err != nil {
		return fmt.Errorf("apply the capture rules: %w", err)
	}
	return nil
}

// backendAddr is what the backend is to listen on.
func (p *place) backendAddr() netip.AddrPort {
	if p.cast == nil {
		return netip.AddrPortFrom(loopback(), 0)
	}
	return netip.AddrPortFrom(netip.MustParseAddr(farIP), backendPort)
}

// close removes the hosts. What ran there has been stopped before.
func (p *place) close() error {
	if p.cast == nil {
		return nil
	}
	return p.cast.end()
}
