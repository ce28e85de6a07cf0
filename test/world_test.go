package test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// The addresses of a world:
//
//	client 10.4.0.9 --- 10.4.0.5 pod 10.4.1.5 --- 10.4.1.12, .13 remote
//
// Everything that is not linked goes from the pod to the remote host, so
// service addresses have a route.
const (
	clientIP  = "10.4.0.9"
	podIP     = "10.4.0.5"
	podFarIP  = "10.4.1.5"
	remoteIP  = "10.4.1.12"
	remoteIP2 = "10.4.1.13"
	serviceIP = "10.96.0.20" // no host has it
	clientIP6 = "fd00:4::9"
	podIP6    = "fd00:4::5"
	podFarIP6 = "fd00:5::5"
	remoteIP6 = "fd00:5::12"
)

// sidecarID is the uid and gid that the capture rules leave alone.
const sidecarID = 1337

// patience bounds waits for what must come; only failing tests wait so long.
const patience = time.Minute

// capture is how connections come to a sidecar.
type capture string

const (
	redirect capture = "redirect"
	tproxy   capture = "tproxy"
)

// flag is the capture as sluice iptables has it.
func (c capture) flag() string {
	if c == tproxy {
		return "TPROXY"
	}
	return "REDIRECT"
}

// caps are the capabilities that a sidecar needs for it.
func (c capture) caps() []string {
	if c == tproxy {
		return []string{"net_raw"}
	}
	return nil
}

// world is the network of one test.
type world struct {
	*testing.T
	net                 *testnet.Network
	client, pod, remote *testnet.Host
	binary              string
	ports               *atomic.Int32 // how many source ports were given out
}

func newWorld(t *testing.T) *world {
	t.Helper()
	testnet.Need(t, "ip", "iptables", "ip6tables")
	n := testnet.New(t)
	w := &world{T: t, net: n, client: n.Host("client"), pod: n.Host("pod"), remote: n.Host("remote"), binary: os.Getenv(binaryVar), ports: new(atomic.Int32)}
	n.Link(w.client, clientIP+"/24,"+clientIP6+"/64", w.pod, podIP+"/24,"+podIP6+"/64")
	n.Link(w.pod, podFarIP+"/24,"+podFarIP6+"/64", w.remote, remoteIP+"/24,"+remoteIP2+"/24,"+remoteIP6+"/64")
	w.pod.Route("default", remoteIP)
	w.pod.Sysctl("net.ipv4.tcp_tw_reuse", "1")
	return w
}

// at is the world for a subtest: what fails there fails it.
func (w *world) at(t *testing.T) *world {
	sub := *w
	sub.T = t
	return &sub
}

// applyRules captures the pod's connections.
func (w *world) applyRules(mode capture, flags ...string) {
	w.Helper()
	w.pod.Run(w.binary, append([]string{"iptables", "apply", "-m", mode.flag()}, flags...)...)
}

// file writes a file that every uid may read, and returns its path.
func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.net.Dir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
	return path
}

// eventually waits until check returns nil.
func (w *world) eventually(check func() error) {
	w.Helper()
	testnet.Eventually(w, patience, check)
}
