package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSocketActivation runs sluice with a listening socket that somebody else has
// made and keeps, as systemd does: who connects while sluice is not there waits, and
// is served by the next one.
func TestSocketActivation(t *testing.T) {
	w := newWorld(t)
	serveGreeting(w, w.remote, remoteIP+":7000")
	text := gatewayText(quickDrain, gateway{name: "g", port: 8081, endpoints: []string{remoteIP + ":7000"}},
		gateway{name: "own", port: 8082, endpoints: []string{remoteIP + ":7000"}},
		gateway{name: "shared", port: 8083, endpoints: []string{remoteIP + ":7000"}})
	// The last one is as ReusePort=yes makes them. sluice, which is another user, may
	// bind none beside it.
	passed := []*os.File{listenerFile(w, "0.0.0.0:8081", false), listenerFile(w, "127.0.0.1:15000", false),
		listenerFile(w, "0.0.0.0:8083", true)}
	l := asSidecar(redirect)
	l.before = []string{"sh", "-c", `export LISTEN_PID=$$; exec "$@"`, "sh"}
	l.env = []string{fmt.Sprintf("LISTEN_FDS=%d", len(passed))}
	l.files = passed
	s := newSidecar(w, text, l)
	for round := range 3 {
		waiting, shared := clients(w, podIP+":8081", 50), clients(w, podIP+":8083", 50)
		if round > 0 {
			s.start(l)
		}
		s.waitReady()
		waiting.Wait()
		shared.Wait()
		clients(w, podIP+":8082", 10).Wait()
		if status, _ := s.callAdmin("GET", "/ready"); status != 200 {
			t.Errorf("the admin API answers %d", status)
		}
		s.process.Kill()
		s.checkLog()
	}
}

// clients connect, and are served some time.
func clients(w *world, address string, count int) *sync.WaitGroup {
	w.Helper()
	all := new(sync.WaitGroup)
	for range count {
		conn := dial(w, w.client, address)
		all.Go(func() {
			if _, _, err := talk(conn); err != nil {
				w.Errorf("a client of %s: %v", address, err)
			}
			conn.Close()
		})
	}
	return all
}

// listenerFile is a listening socket in the pod.
func listenerFile(w *world, address string, reusePort bool) *os.File {
	w.Helper()
	options := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		controlErr := raw.Control(func(fd uintptr) {
			if reusePort {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
		})
		return errors.Join(controlErr, err)
	}}
	var l net.Listener
	var err error
	w.pod.Do(func() { l, err = options.Listen(w.Context(), "tcp4", address) }) // "tcp" makes one for IPv6 too of a wildcard
	if err != nil {
		w.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		w.Fatal(err)
	}
	l.Close()
	w.Cleanup(func() { file.Close() })
	return file
}
