package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tcpRTOMaxMS is TCP_RTO_MAX_MS in linux/tcp.h, since Linux 6.15: the longest
// interval between retransmissions, 120 s unless set.
const tcpRTOMaxMS = 44

// socketState is what the kernel knows of one of sluice's TCP connections.
type socketState struct {
	local, remote          netip.AddrPort
	keepalive, noDelay     bool
	idle, interval, probes time.Duration // probes is a number
	userTimeout, rtoMax    time.Duration
}

// sockets looks at the TCP connections of sluice, by copies of their
// descriptors (pidfd_getfd(2)).
func (s *sidecar) sockets() []socketState {
	s.w.Helper()
	pid, err := unix.PidfdOpen(s.process.PID(), 0)
	if err != nil {
		s.w.Fatalf("pidfd_open: %v", err)
	}
	defer unix.Close(pid)
	var all []socketState
	for _, line := range s.descriptors().list {
		var number int
		if _, err := fmt.Sscan(line, &number); err != nil || !strings.Contains(line, "socket:") {
			continue
		}
		fd, err := unix.PidfdGetfd(pid, number, 0)
		if err != nil {
			continue // closed since
		}
		if state, ok := stateOf(fd); ok {
			all = append(all, state)
		}
		unix.Close(fd)
	}
	return all
}

// stateOf is false for what is not a TCP connection.
func stateOf(fd int) (s socketState, ok bool) {
	peer, err := unix.Getpeername(fd)
	if err != nil {
		return s, false
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return s, false
	}
	s.local, s.remote = addrPort(name), addrPort(peer)
	number := func(level, option int) time.Duration {
		n, err := unix.GetsockoptInt(fd, level, option)
		if err != nil {
			return -1
		}
		return time.Duration(n)
	}
	s.keepalive = number(unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 1
	s.noDelay = number(unix.SOL_TCP, unix.TCP_NODELAY) == 1
	s.idle = number(unix.SOL_TCP, unix.TCP_KEEPIDLE) * time.Second
	s.interval = number(unix.SOL_TCP, unix.TCP_KEEPINTVL) * time.Second
	s.probes = number(unix.SOL_TCP, unix.TCP_KEEPCNT)
	s.userTimeout = number(unix.SOL_TCP, unix.TCP_USER_TIMEOUT) * time.Millisecond
	s.rtoMax = number(unix.SOL_TCP, tcpRTOMaxMS) * time.Millisecond
	return s, s.remote.IsValid()
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// findsDeadPeers says whether a peer that acknowledges nothing is given up
// earlier than after the kernel's quarter of an hour.
func (s *socketState) findsDeadPeers() bool {
	return s.userTimeout > 0 || s.rtoMax > 0 && s.rtoMax < 120*time.Second
}

// TestSocketOptions looks at both sockets of captured connections.
func TestSocketOptions(t *testing.T) {
	t.Parallel()
	for _, mode := range []capture{redirect, tproxy} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t)
			w.applyRules(mode)
			s := startSidecar(w, sidecarText(settings{mode: mode, more: "tcp_keepalive: {idle: 31s, interval: 11s, probes: 4}"}), asSidecar(mode))
			inbound := newWay(w, "", w.client, w.pod, podIP+":7000")
			outbound := newWay(w, "", w.pod, w.remote, remoteIP+":7000")
			for _, tc := range []struct {
				name    string
				way     *way
				offHost bool
			}{{"inbound", inbound, false}, {"outbound", outbound, true}} {
				t.Run(tc.name, func(t *testing.T) {
					checkOptions(s.in(t), tc.way, tc.offHost)
				})
			}
		})
	}
}

func checkOptions(s *sidecar, v *way, offHost bool) {
	client, server := v.open(s.w)
	var down, up *socketState
	for _, state := range s.sockets() {
		switch {
		case state.remote.String() == client.LocalAddr().String() && state.local != state.remote:
			down = &state
		case state.local.String() == server.RemoteAddr().String():
			up = &state
		}
	}
	if down == nil || up == nil {
		s.w.Fatalf("sluice's sockets for %s were not found among %+v", client.LocalAddr(), s.sockets())
	}
	for _, tc := range []struct {
		name                   string
		have                   *socketState
		idle, interval, probes time.Duration
		offHost                bool
	}{
		{"downstream", down, 31 * time.Second, 11 * time.Second, 4, false},
		{"upstream", up, 30 * time.Second, 10 * time.Second, 3, offHost},
	} {
		h := tc.have
		spread := func(have, configured time.Duration) bool { return have >= configured/2 && have <= configured }
		if !h.keepalive || !h.noDelay || !spread(h.idle, tc.idle) || !spread(h.interval, tc.interval) || h.probes != tc.probes || h.findsDeadPeers() != tc.offHost {
			s.w.Errorf("%s socket: %+v", tc.name, *h)
		}
	}
	client.Close()
	server.Close()
	s.ended(client)
}
