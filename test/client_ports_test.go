package test

import (
	"fmt"
	"testing"
	"time"
)

// Under a client's address the kernel may choose a port from which that client
// is connected already. Where there are only two, it does so half of the time,
// and such a connection would never be answered.
func TestTransparentSourceAvoidsTheClientsPorts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.applyRules(tproxy)
	serveGreeting(w, w.pod, podIP+":9080")
	s := startSidecar(w, sidecarText(settings{mode: tproxy}), asSidecar(tproxy))
	for i := range 8 {
		taken := 40000 + 2*i
		w.pod.Sysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("%d %d", taken, taken+1))
		conn := dialFrom(w, w.client, fmt.Sprintf("%s:%d", clientIP, taken), podIP+":9080")
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, seen, err := talk(conn)
		if want := fmt.Sprintf("%s:%d", clientIP, taken+1); err != nil || seen != want {
			t.Fatalf("the application sees %s (%v), want %s", seen, err, want)
		}
		conn.Close()
		s.ended(conn)
	}
}
