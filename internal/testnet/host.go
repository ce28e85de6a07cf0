package testnet

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Host is a simulated machine as one user of it sees it: a network namespace
// and the identity that programs get there, root's at first (see As).
type Host struct {
	tb    TB
	space *space
	as    *identity // nil: root
}

// space is a namespace with what is known of it; all users of a host share
// it.
type space struct {
	name    string
	holder  *holder
	devices int
	addrs   []netip.Addr

	mu        sync.Mutex
	processes []*Process
}

func (s *space) add(p *Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes = append(s.processes, p)
}

func (s *space) started() []*Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.processes)
}

// Cleanup has fn called at the end of the test, before the host is gone.
func (h *Host) Cleanup(fn func()) { h.tb.Cleanup(fn) }

// String returns the host's name.
func (h *Host) String() string { return h.space.name }

// prepare brings lo up and has addresses usable the moment they are added:
// duplicate address detection would hold IPv6 ones back for a second.
func (h *Host) prepare() {
	h.tb.Helper()
	h.Run("ip", "link", "set", "lo", "up")
	h.Do(func() {
		for _, conf := range []string{"all", "default"} {
			for _, key := range []string{"accept_dad", "accept_ra", "router_solicitations"} {
				err := os.WriteFile("/proc/sys/net/ipv6/conf/"+conf+"/"+key, []byte("0"), 0)
				if err != nil && !os.IsNotExist(err) {
					h.tb.Fatalf("host %s: %v", h, err)
				}
			}
		}
	})
}

// Sysctl sets a kernel parameter of the host, such as
// "net.ipv4.ip_local_port_range" to "40000 40099". Only those below net
// belong to a host, so only those are taken.
func (h *Host) Sysctl(key, value string) {
	h.tb.Helper()
	path := h.sysctlPath(key)
	h.Do(func() {
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			h.tb.Fatalf("host %s: set %s to %q: %v", h, key, value, err)
		}
	})
}

// ReadSysctl returns a kernel parameter of the host.
func (h *Host) ReadSysctl(key string) string {
	h.tb.Helper()
	path := h.sysctlPath(key)
	var value []byte
	h.Do(func() {
		var err error
		if value, err = os.ReadFile(path); err != nil {
			h.tb.Fatalf("host %s: read %s: %v", h, key, err)
		}
	})
	return strings.TrimSpace(string(value))
}

func (h *Host) sysctlPath(key string) string {
	h.tb.Helper()
	if !strings.HasPrefix(key, "net.") {
		h.tb.Fatalf("host %s: %s is a parameter of the whole machine, not of a host", h, key)
	}
	return filepath.Join("/proc/sys", strings.ReplaceAll(key, ".", "/"))
}

// leftovers kills the processes that are still in the namespace, the holder
// apart, and names them in its error.
func (s *space) leftovers() error {
	var names []string
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, dir := range entries {
		pid := filepath.Base(dir)
		id, err := os.Readlink(dir + "/ns/net")
		if err != nil || id != s.holder.id || pid == fmt.Sprint(s.holder.pid()) || pid == fmt.Sprint(os.Getpid()) {
			continue // not ours, or gone since
		}
		comm, _ := os.ReadFile(dir + "/comm")
		names = append(names, fmt.Sprintf("%s (%s)", strings.TrimSpace(string(comm)), pid))
		killPID(pid)
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("processes still running when the test ended: %s", strings.Join(names, ", "))
}
