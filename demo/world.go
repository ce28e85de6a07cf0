package main

import (
	"os"
	"path/filepath"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// Addresses of the demo. The template of the sidecar's configuration has
// those of the services and endpoints too.
const (
	clientIP  = "10.4.0.9"
	podIP     = "10.4.0.5"
	podFarIP  = "10.4.1.5" // towards the remote service
	remoteIP  = "10.4.1.12"
	remoteIP2 = "10.4.1.13"
	ratingsIP = "10.96.0.20" // the service address of ratings: no host has it
	reviewsIP = "10.96.0.10" // that of the pod's own service
)

// Users of the demo. The capture rules leave the sidecar's uid and gid alone.
const (
	userID    = 1000
	sidecarID = 1337
)

// world is the simulated network with the programs that run in it.
type world struct {
	tb                  testnet.TB
	net                 *testnet.Network
	client, pod, remote *testnet.Host
	self                string // a copy of this program that every uid may execute
	sluice              string // the same of sluice
	calls               int    // how many were made
}

// newWorld joins the hosts, client - pod - remote, and starts the
// applications.
func newWorld(tb testnet.TB, opts options) *world {
	net := testnet.New(tb)
	w := &world{tb: tb, net: net}
	w.client, w.pod, w.remote = net.Host("client"), net.Host("pod"), net.Host("remote")
	net.Link(w.client, clientIP+"/24", w.pod, podIP+"/24")
	net.Link(w.pod, podFarIP+"/24", w.remote, remoteIP+"/24,"+remoteIP2+"/24")
	// Service addresses must have a route: it is looked up before the capture
	// rules rewrite the destination.
	w.pod.Route("default", remoteIP)
	exe, err := os.Executable()
	if err != nil {
		tb.Fatalf("find this program: %v", err)
	}
	w.self = w.copyProgram(exe, "demo")
	w.sluice = w.copyProgram(opts.sluice, "sluice")
	for _, host := range []*testnet.Host{w.pod, w.remote} {
		cmd := host.As(userID, userID).Command(w.self, host.String())
		cmd.Env = append(os.Environ(), roleVar+"="+roleApp)
		app := host.StartCommand(cmd)
		app.WaitListen(9080)
		app.WaitListen(3306)
	}
	return w
}

// copyProgram puts a program where every uid may execute it: go run keeps its
// binaries in a directory that only their owner may enter.
func (w *world) copyProgram(from, name string) string {
	to := filepath.Join(w.net.Dir(), name)
	if err := copyFile(from, to); err != nil {
		w.tb.Fatalf("copy %s: %v", from, err)
	}
	return to
}

func copyFile(from, to string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, program, 0o755)
}
