package test

import (
	"net"
	"strings"
	"syscall"
	"testing"
)

// TestDrainBesidePausedRules stops a sidecar as deploy/capture.conf does: the rules
// are paused, it drains, the rules go. The connections that it has go on to their end,
// new ones go past it, and in the end nothing is left of the rules.
func TestDrainBesidePausedRules(t *testing.T) {
	t.Parallel()
	for _, mode := range []capture{redirect, tproxy} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.applyRules(mode)
			ways := []*way{newWay(w, "inbound", w.client, w.pod, podIP+":7000"), newWay(w, "outbound", w.pod, w.remote, remoteIP+":7000")}
			s := startSidecar(w, sidecarText(settings{mode: mode, drain: "{time: 5m, strategy: immediate}"}), asSidecar(mode))
			type pair struct{ client, server *net.TCPConn }
			var live []pair
			for _, v := range ways {
				client, server := v.open(w)
				live = append(live, pair{client, server})
			}
			w.pod.Run(w.binary, "iptables", "pause")
			s.signal(syscall.SIGTERM)
			s.waitInboundClosed()
			for _, v := range ways {
				client, server := v.open(w)
				if client.LocalAddr().String() != server.RemoteAddr().String() {
					t.Errorf("%s: a new connection from %v comes from %v", v.name, client.LocalAddr(), server.RemoteAddr())
				}
				client.Close()
				wantEnd(t, server)
				server.Close() // while conntrack sees it
			}
			for i, p := range live {
				write(t, p.client, []byte("there"))
				readFull(t, p.server, len("there"))
				write(t, p.server, []byte("and back"))
				readFull(t, p.client, len("and back"))
				p.client.CloseWrite()
				wantEnd(t, p.server)
				p.server.Close()
				wantEnd(t, p.client)
				if r := s.ended(p.client); r.ending() != byClient {
					t.Errorf("%s: %+v", ways[i].name, r)
				}
			}
			if code := s.waitEnd(); code != 0 {
				t.Errorf("status %d", code)
			}
			w.pod.Run(w.binary, "iptables", "clean")
			if left := w.pod.Run("iptables-save") + w.pod.Run("ip6tables-save") + w.pod.Run("ip", "rule"); strings.Contains(left, "ISTIO") || strings.Contains(left, "lookup 133") {
				t.Errorf("left of the rules:\n%s", left)
			}
		})
	}
}
