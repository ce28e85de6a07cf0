package testnet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FDs returns how many descriptors the process has open.
func (p *Process) FDs() int {
	p.host.tb.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	if err != nil {
		p.host.tb.Fatalf("host %s: descriptors of %s: %v", p.host, p, err)
	}
	return len(entries)
}

// WaitFDs waits until the process has no more than n descriptors open, the
// count from before whatever should have given them back. It fails the test
// with a list of them.
func (p *Process) WaitFDs(n int) {
	p.host.tb.Helper()
	err := poll(patience, func() error {
		if have := p.FDs(); have > n {
			return fmt.Errorf("has %d descriptors, %d expected", have, n)
		}
		return nil
	})
	if err == nil {
		return
	}
	links, globErr := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.PID()))
	if globErr != nil {
		p.host.tb.Fatalf("%v", globErr)
	}
	for i, link := range links {
		target, _ := os.Readlink(link)
		links[i] = filepath.Base(link) + " " + target
	}
	p.host.tb.Fatalf("host %s: %s %v:\n%s", p.host, p, err, strings.Join(links, "\n"))
}

// RSS returns the resident memory of the process in bytes.
func (p *Process) RSS() int64 {
	p.host.tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		p.host.tb.Fatalf("host %s: memory of %s: %v", p.host, p, err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		p.host.tb.Fatalf("host %s: memory of %s: no VmRSS in its status: %v", p.host, p, err)
	}
	return kib * 1024
}

// listening returns nil once some socket of the host listens on a TCP port.
// The format of /proc/net/tcp is proc(5)'s: 0A is the state LISTEN.
func (h *Host) listening(port uint16) error {
	for _, file := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", h.space.holder.pid(), file))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) > 3 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				return nil
			}
		}
	}
	return fmt.Errorf("nothing listens on port %d", port)
}
