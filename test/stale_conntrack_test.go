package test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// TestStaleConntrack has a client's connection end by a reset from sluice, and sluice
// dial the same destination from the port that was the client's. For 10 s conntrack
// takes the new connection for the old one, and has it captured: it comes through
// sluice once more, and is served.
func TestStaleConntrack(t *testing.T) {
	t.Parallel()
	for name, ips := range map[string][2]string{"IPv4": {podFarIP, remoteIP}, "IPv6": {"[" + podFarIP6 + "]", "[" + remoteIP6 + "]"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.applyRules(redirect)
			source, address := ips[0], ips[1]+":7000"
			v := newWay(w, "", w.pod, w.remote, address)
			s := startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
			const port = 40000 // even: connect(2) tries the even ones first
			first := dialFrom(w, w.pod, fmt.Sprintf("%s:%d", source, port), address)
			write(t, first, []byte("x"))
			if err := reset(v.arrives(w, []byte("x"))); err != nil {
				t.Fatal(err)
			}
			wantReset(t, first)
			first.Close()
			s.ended(first)
			w.eventually(func() error { // a child that another test is just starting may still have the port
				return bindable(w.pod, source, port)
			})

			w.pod.Sysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("%d %d", port, port+1))
			second := dialFrom(w, w.pod, source+":20000", address)
			write(t, second, []byte("y"))
			server := v.arrives(w, []byte("y"))
			write(t, server, []byte("served"))
			server.Close()
			if got := string(wantEnd(t, second)); got != "served" {
				t.Errorf("the client gets %q", got)
			}
			second.Close()
			w.pod.Sysctl("net.ipv4.ip_local_port_range", "32768 60999") // for the probes
			lines := s.waitRecords(3, func(r record) bool { return r.Local == address })[1:]
			if lines[0].Remote == second.LocalAddr().String() {
				slices.Reverse(lines)
			}
			if inner, outer := lines[0], lines[1]; inner.Remote != outer.UpstreamLocal || inner.ending() != byServer || outer.ending() != byServer {
				t.Errorf("the connection did not come through twice, and end well: %+v, %+v", outer, inner)
			}
			s.waitMetric(0, "sluice_loop_guard_total")
		})
	}
}

// bindable says why nobody can bind to an IPv4 or IPv6 address and port.
func bindable(h *testnet.Host, ip string, port int) (err error) {
	family, address := syscall.AF_INET, syscall.Sockaddr(nil)
	if ip := netip.MustParseAddr(strings.Trim(ip, "[]")); ip.Is4() {
		address = &syscall.SockaddrInet4{Addr: ip.As4(), Port: port}
	} else {
		family, address = syscall.AF_INET6, &syscall.SockaddrInet6{Addr: ip.As16(), Port: port}
	}
	h.Do(func() {
		var fd int
		if fd, err = syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err == nil {
			err = errors.Join(syscall.Bind(fd, address), syscall.Close(fd))
		}
	})
	return err
}
