package testnet

import (
	"errors"
	"os"
	"sync"
)

// Network is the network of one test.
type Network struct {
	tb TB

	mu    sync.Mutex
	hosts []*Host
	dir   string
}

// New returns an empty network, which is removed when the test ends.
func New(tb TB) *Network {
	tb.Helper()
	Need(tb, "ip", "nsenter", "setpriv")
	n := &Network{tb: tb}
	tb.Cleanup(n.remove)
	return n
}

// Dir returns a directory that every uid may enter and write to, unlike
// t.TempDir: for binaries, configurations and logs of programs that run as
// somebody else. It is removed with the network.
func (n *Network) Dir() string {
	n.tb.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dir != "" {
		return n.dir
	}
	dir, err := os.MkdirTemp("", "testnet-")
	if err == nil {
		err = os.Chmod(dir, 0o777|os.ModeSticky)
	}
	if err != nil {
		n.tb.Fatalf("make a directory for the test: %v", err)
	}
	n.dir = dir
	return dir
}

// Host adds a host: a network namespace with lo up and nothing else. The name
// is for messages.
func (n *Network) Host(name string) *Host {
	n.tb.Helper()
	holder, err := newHolder()
	if err != nil {
		n.tb.Fatalf("host %s: %v", name, err)
	}
	h := &Host{tb: n.tb, space: &space{name: name, holder: holder}}
	n.mu.Lock()
	n.hosts = append(n.hosts, h)
	n.mu.Unlock()
	h.prepare()
	return h
}

// remove stops all processes and lets go of the namespaces. What a test
// started and neither waited for nor stopped is a fault of the test.
func (n *Network) remove() {
	n.tb.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.hosts {
		for _, p := range h.space.started() {
			if log := p.Log(); n.tb.Failed() && log != "" {
				n.tb.Logf("host %s: log of %s:\n%s", h, p, log)
			}
			p.Kill()
		}
	}
	for _, h := range n.hosts {
		if err := errors.Join(h.space.leftovers(), h.space.holder.release()); err != nil {
			n.tb.Errorf("host %s: %v", h, err)
		}
	}
	if n.dir != "" {
		if err := os.RemoveAll(n.dir); err != nil {
			n.tb.Errorf("remove the test's directory: %v", err)
		}
	}
}
