package testnet

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Link joins two hosts by a veth pair. The addresses are given with their
// prefix length, several separated by commas: "10.4.0.5/24,fd00:4::5/64".
// They are usable on return. A host's devices are eth0, eth1 and so on, in
// the order of its links.
func (n *Network) Link(a *Host, addrsA string, b *Host, addrsB string) {
	n.tb.Helper()
	devA, devB := a.space.nextDevice(), b.space.nextDevice()
	a.Run("ip", "link", "add", devA, "type", "veth", "peer", "name", devB,
		"netns", strconv.Itoa(b.space.holder.pid()))
	for _, end := range []struct {
		host       *Host
		dev, addrs string
	}{{a, devA, addrsA}, {b, devB, addrsB}} {
		end.host.Run("ip", "link", "set", end.dev, "up")
		for _, addr := range strings.Split(end.addrs, ",") {
			end.host.AddAddr(end.dev, addr)
		}
	}
}

// AddAddr gives a device of the host one more address, with its prefix
// length.
func (h *Host) AddAddr(device, addr string) {
	h.tb.Helper()
	prefix, err := netip.ParsePrefix(addr)
	if err != nil {
		h.tb.Fatalf("host %s: address of %s: %v", h, device, err)
	}
	args := []string{"addr", "add", addr, "dev", device}
	if prefix.Addr().Is6() {
		args = append(args, "nodad")
	}
	h.Run("ip", args...)
	h.space.addrs = append(h.space.addrs, prefix.Addr())
}

// Addr returns the host's first IPv4 address that is not on lo.
func (h *Host) Addr() netip.Addr {
	h.tb.Helper()
	return h.firstAddr("IPv4", netip.Addr.Is4)
}

// Addr6 returns the host's first IPv6 address that is not on lo.
func (h *Host) Addr6() netip.Addr {
	h.tb.Helper()
	return h.firstAddr("IPv6", netip.Addr.Is6)
}

func (h *Host) firstAddr(family string, is func(netip.Addr) bool) netip.Addr {
	h.tb.Helper()
	for _, addr := range h.space.addrs {
		if is(addr) && !addr.IsLoopback() {
			return addr
		}
	}
	h.tb.Fatalf("host %s has no %s address yet; Link or AddAddr gives it one", h, family)
	return netip.Addr{}
}

// Route sends what goes to dst, a prefix, an address or "default", to the
// neighbour via.
func (h *Host) Route(dst, via string) {
	h.tb.Helper()
	gateway, err := netip.ParseAddr(via)
	if err != nil {
		h.tb.Fatalf("host %s: route to %s: %v", h, dst, err)
	}
	family := "-4"
	if gateway.Is6() {
		family = "-6"
	}
	h.Run("ip", family, "route", "add", dst, "via", via)
}

func (s *space) nextDevice() string {
	s.devices++
	return fmt.Sprintf("eth%d", s.devices-1)
}
