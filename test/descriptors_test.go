package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// fewDescriptors starts a sidecar that may have so many, of which it keeps an
// eighth from connections.
func fewDescriptors(w *world, text string, descriptors int) *sidecar {
	w.Helper()
	l := asSidecar(redirect)
	l.before = []string{"prlimit", fmt.Sprintf("--nofile=%d:%[1]d", descriptors)}
	return startSidecar(w, text, l)
}

// answers fails the test unless metrics, readiness and the admin API answer.
func (s *sidecar) answers(when string) {
	s.w.Helper()
	if _, err := s.scrape(); err != nil {
		s.w.Errorf("%s: %v", when, err)
	}
	if ready, err := s.ready(); !ready || err != nil {
		s.w.Errorf("%s: ready %t, %v", when, ready, err)
	}
	if status, _, err := s.get(s.host, "http://127.0.0.1:15000/server_info"); status != 200 {
		s.w.Errorf("%s: admin API: status %d, %v", when, status, err)
	}
}

// TestStreamsLeaveDescriptors has more streams than there are descriptors for their
// pipes, each full because its reader rests: those that get no pipe wait in a
// buffer, admin API, metrics and readiness answer, and no byte is lost.
func TestStreamsLeaveDescriptors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	v := newWay(w, "", w.client, w.pod, podIP+":7000")
	s := fewDescriptors(w, sidecarText(settings{mode: redirect}), 160)
	const streams = 32
	var clients, servers [streams]*net.TCPConn
	var written [streams]int64
	for i := range streams {
		clients[i], servers[i] = v.open(w)
		if err := clients[i].SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var err error
		if written[i], err = io.Copy(clients[i], pattern(uint64(i), 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("stream %d: after %d bytes: %v, want to be held back", i, written[i], err)
		}
	}
	have := s.descriptors()
	t.Logf("%d streams: %d descriptors of pipes, %d in all", streams, have.pipes, len(have.list))
	if have.pipes <= s.idle.pipes || have.pipes >= 2*streams {
		t.Errorf("%d descriptors of pipes for %d streams, %d before them: all were refused, or none", have.pipes, streams, s.idle.pipes)
	}
	s.answers("while all streams are full")
	for i := range streams {
		if err := clients[i].CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := receive(servers[i], written[i])
		if want, _ := receive(pattern(uint64(i), written[i]), written[i]); err != nil || got != want {
			t.Errorf("stream %d of %d bytes: %v; same bytes: %t", i, written[i], err, got == want)
		}
		wantEnd(t, servers[i])
		servers[i].Close()
		clients[i].Close()
	}
}

// TestInspectedLeaveDescriptors has more connections wait for their first bytes than
// there are descriptors for their endpoints, and then send all of them at once:
// who finds no descriptor is reset and no endpoint is blamed for it, and admin API,
// metrics and readiness answer.
func TestInspectedLeaveDescriptors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(redirect)
	serveGreeting(w, w.pod, fmt.Sprintf("%s:%d", podIP, tlsPort))
	s := fewDescriptors(w, inboundText("", "listener_filters_timeout: 0s"), 160)
	const clients = 90
	var all []net.Conn
	for range clients {
		all = append(all, dial(w, w.client, fmt.Sprintf("%s:%d", podIP, tlsPort)))
	}
	s.waiting(clients)
	s.answers("while all wait")
	for _, conn := range all {
		write(t, conn, []byte("no TLS\n"))
	}
	s.waiting(0)
	s.answers("when all have sent")
	s.w.eventually(func() error {
		failed := s.filter(func(r record) bool { return r.Errno == "EMFILE" })
		if live := s.metrics().sum("envoy_cluster_upstream_cx_active"); len(failed) == 0 || int(live)+len(failed) != clients {
			return fmt.Errorf("%v connections are served, %d found no descriptor", live, len(failed))
		}
		return nil
	})
}
