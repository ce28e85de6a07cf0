package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// waitForgotten waits until conntrack of the pod has forgotten a connection. It looks
// for both addresses and both ports: other connections may have the same port, and
// those that ended are known for two minutes.
func (w *world) waitForgotten(client *net.TCPConn) {
	w.Helper()
	from, to := client.LocalAddr().(*net.TCPAddr).AddrPort(), client.RemoteAddr().(*net.TCPAddr).AddrPort()
	entry := fmt.Sprintf(" src=%s dst=%s sport=%d dport=%d ", from.Addr(), to.Addr(), from.Port(), to.Port())
	w.eventually(func() error {
		if known := w.pod.Run("cat", "/proc/net/nf_conntrack"); strings.Contains(known, entry) {
			return fmt.Errorf("conntrack still knows%s:\n%s", entry, known)
		}
		return nil
	})
}

// TestHalfClosedFlowsStayTracked has conntrack forget half-closed connections after
// 8 seconds: those that sluice holds are kept alive for twice as long, and what
// follows in the other direction arrives, the FIN too. One beside them that nobody
// keeps alive shows that the time was over.
func TestHalfClosedFlowsStayTracked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, state := range []string{"fin_wait", "close_wait"} {
		w.pod.Sysctl("net.netfilter.nf_conntrack_tcp_timeout_"+state, "8")
	}
	w.applyRules(redirect, "-d", "7002") // not captured
	captured, direct := newWay(w, "", w.client, w.pod, podIP+":7000"), newWay(w, "", w.client, w.pod, podIP+":7002")
	s := startSidecar(w, sidecarText(settings{mode: redirect, more: "tcp_keepalive: {idle: 1s, interval: 1s, probes: 3}"}), asSidecar(redirect))
	client, server := captured.open(w)
	server.CloseWrite()
	wantEnd(t, client)
	otherClient, otherServer := captured.open(w)
	otherClient.CloseWrite()
	wantEnd(t, otherServer)
	for range 2 {
		control, peer := direct.open(w)
		quiet(w, control)
		quiet(w, peer)
		peer.CloseWrite()
		wantEnd(t, control)
		w.waitForgotten(control)
		control.Close()
		peer.Close()
	}
	write(t, client, []byte("after all that time"))
	client.Close()
	if got := wantEnd(t, server); string(got) != "after all that time" {
		t.Errorf("the server gets %q", got)
	}
	write(t, otherServer, []byte("and back"))
	otherServer.Close()
	if got := wantEnd(t, otherClient); string(got) != "and back" {
		t.Errorf("the client gets %q", got)
	}
	for conn, want := range map[net.Conn]ending{client: byServer, otherClient: byClient} {
		if r := s.ended(conn); r.ending() != want {
			t.Errorf("the access log says %+v, want %+v", r.ending(), want)
		}
	}
}

// quiet has a connection send nothing by itself.
func quiet(w *world, conn *net.TCPConn) {
	w.Helper()
	if err := conn.SetKeepAlive(false); err != nil {
		w.Fatal(err)
	}
}

// TestDropInvalid has conntrack lose a captured connection, and call what the client
// sends next invalid: it is not translated back and reaches a port where nobody
// knows it. With --drop-invalid it is dropped, sent again, and arrives.
func TestDropInvalid(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		flags  []string
		resets bool
	}{{"without", nil, true}, {"with", []string{"--drop-invalid"}, false}} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.applyRules(redirect, tc.flags...)
			v := newWay(w, "", w.client, w.pod, podIP+":7000")
			startSidecar(w, sidecarText(settings{mode: redirect}), asSidecar(redirect))
			w.pod.Sysctl("net.netfilter.nf_conntrack_tcp_loose", "0")
			client, server := v.open(w)
			w.pod.Sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "1") // from the next packet on
			write(t, client, []byte("x"))
			readFull(t, server, 1)
			w.waitForgotten(client)
			write(t, client, []byte("invalid"))
			if tc.resets {
				wantReset(t, client)
				if err := reset(server); err != nil { // or sluice would wait for its client
					t.Fatal(err)
				}
				return
			}
			w.eventually(func() error {
				if out := w.pod.Run("iptables", "-t", "mangle", "-nvxL", "ISTIO_DROP"); !dropped(out) {
					return fmt.Errorf("nothing was dropped:\n%s", out)
				}
				return nil
			})
			w.pod.Sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "3600")
			w.pod.Sysctl("net.netfilter.nf_conntrack_tcp_loose", "1") // taken up again, in the middle
			if got := string(readFull(t, server, len("invalid"))); got != "invalid" {
				t.Errorf("the server gets %q", got)
			}
			client.Close()
			wantEnd(t, server)
		})
	}
}

// TestDeadPeers has endpoints vanish without a word, with bytes on their way and
// without: tcp_user_timeout and tcp_keepalive end their connections, and the client
// is reset. The kernel alone would try for a quarter of an hour, or for ever.
func TestDeadPeers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := newWay(w, "", w.client, w.remote, remoteIP+":7000")
	s := startSidecar(w, gatewayText(quickDrain,
		gateway{name: "talking", port: 8081, endpoints: []string{remoteIP + ":7000"}, cluster: "tcp_user_timeout: 1s"},
		gateway{name: "idle", port: 8082, endpoints: []string{remoteIP + ":7000"}, cluster: "tcp_keepalive: {idle: 1s, interval: 1s, probes: 2}"},
		gateway{name: "well", port: 8083, endpoints: []string{remoteIP + ":7000"}}), asSidecar(redirect))
	open := func(port int) (client, server *net.TCPConn) {
		one := &way{from: w.client, address: fmt.Sprintf("%s:%d", podIP, port), accepted: v.accepted}
		client, server = one.open(w)
		write(t, server, []byte("!"))
		readFull(t, client, 1)
		return client, server
	}
	talking, talkingServer := open(8081)
	idle, idleServer := open(8082)
	well, _ := open(8083)
	for _, server := range []net.Conn{talkingServer, idleServer} {
		_, port, err := net.SplitHostPort(server.RemoteAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		w.remote.Run("iptables", "-A", "INPUT", "-p", "tcp", "--sport", port, "-j", "DROP")
		w.remote.Run("iptables", "-A", "OUTPUT", "-p", "tcp", "--dport", port, "-j", "DROP")
	}
	write(t, talking, []byte("are you there?"))
	for name, conn := range map[string]net.Conn{"talking": talking, "idle": idle} {
		wantReset(t, conn)
		if r := s.ended(conn); r.ClosedBy != "upstream" || r.Errno != "ETIMEDOUT" {
			t.Errorf("%s: record %+v", name, r)
		}
	}
	if err := well.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := well.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection to an endpoint that is well: %v", err)
	}
}
