package cluster

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// Under transparent_source the port is chosen by bind, not by connect, and bind
// says EADDRINUSE when none is left.
func TestNoPortForTransparentSource(t *testing.T) {
	host := testnet.New(t).Host("pod")
	host.Sysctl("net.ipv4.ip_local_port_range", "40000 40001")
	for _, taken := range []string{"127.0.0.1:40000", "127.0.0.1:40001"} {
		host.Listen("tcp", taken)
	}
	c := with(t, func(cfg *config.Cluster) {
		originalDst(cfg)
		cfg.TransparentSource = true
	})
	var tried Tried
	ep, _ := pick(c, netip.MustParseAddrPort("127.0.0.1:81"), &tried)
	origin := Origin{
		Client: netip.MustParseAddr("127.0.0.1"),
		OnHost: true,
		Claim:  func(netip.AddrPort) bool { return true },
	}
	host.Do(func() {
		fd, err := c.Dial(ep, origin)
		if err == nil {
			sock.Close(fd)
		}
		if !errors.Is(err, ErrSourcePorts) || !errors.Is(err, sock.EADDRINUSE) || Blame(err) != HostAtFault {
			t.Errorf("%v, blamed on %s; want ErrSourcePorts", err, Blame(err))
		}
	})
}
