package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

const (
	// idlePipes is how many pipes a loop may keep for the next spliced relay.
	idlePipes = 8

	// fewGoroutines are those of requests that are just ending.
	fewGoroutines = 5

	// closedSeconds is for how long conntrack keeps what was reset
	// (nf_conntrack_tcp_timeout_close).
	closedSeconds = 10

	// crossedSeconds is for how long it keeps one whose reset has crossed data of
	// the other end: it does not trust the reset then, and waits for an
	// acknowledgement that never comes (nf_conntrack_tcp_timeout_unacknowledged).
	crossedSeconds = 300
)

// holding is what sluice holds without connections.
type holding struct {
	descriptors
	goroutines float64
	tracked    int // live connections that conntrack knows in its namespace
}

// waitIdle waits until sluice holds no more than when it got ready. It is the end
// of every test.
func (s *sidecar) waitIdle() {
	s.w.Helper()
	testnet.Eventually(s.w, patience, func() error {
		if err := s.extra(); err != nil {
			return err
		}
		return s.untracked()
	})
}

// extra is what sluice holds more than when it got ready.
func (s *sidecar) extra() error {
	m, err := s.scrape()
	if err != nil {
		return err // a pod may be short of source ports
	}
	loops := 0
	for _, one := range m {
		if one.family == "sluice_loop_connections" {
			loops++
		}
	}
	for _, family := range []string{"envoy_listener_downstream_cx_active", "envoy_cluster_upstream_cx_active",
		"envoy_server_total_connections", "sluice_loop_connections", "envoy_listener_downstream_pre_cx_active"} {
		if n := m.sum(family); n != 0 {
			return fmt.Errorf("%s is %v without connections", family, n)
		}
	}
	if n := m.sum("go_goroutines"); n > s.idle.goroutines+fewGoroutines {
		return fmt.Errorf("%v goroutines, when idle %v", n, s.idle.goroutines)
	}
	have := s.descriptors()
	if have.sockets > s.idle.sockets || have.others > s.idle.others || have.pipes > s.idle.pipes+2*idlePipes*loops {
		return fmt.Errorf("sluice holds %d sockets, %d ends of pipes and %d others, when idle %d, %d and %d:\n%s", have.sockets, have.pipes, have.others,
			s.idle.sockets, s.idle.pipes, s.idle.others, strings.Join(have.list, "\n"))
	}
	return nil
}

// untracked says what conntrack knows more of live connections than when sluice
// got ready: an entry of one that both ends have left would fill its table up.
func (s *sidecar) untracked() error {
	live := tracked(s.host)
	if most := s.idle.tracked; len(live) > most {
		return fmt.Errorf("conntrack knows %d live connections, when idle %d:\n%s", len(live), most, strings.Join(live, ""))
	}
	return nil
}

// tracked are the live TCP connections that conntrack knows on a host, both
// directions of sluice's among them. What is in TIME_WAIT, LAST_ACK or CLOSE has
// ended at both ends; so has what was reset, which may still be called by its old
// state but is kept for no longer than those in CLOSE, or is called ESTABLISHED, but
// is not kept for days as those are where all is acknowledged. Of an attempt that nobody
// has answered (SYN_SENT) there is no packet that could end it. Without the module
// nothing is tracked.
func tracked(h *testnet.Host) (live []string) {
	var text []byte
	var err error
	h.Do(func() { text, err = os.ReadFile("/proc/thread-self/net/nf_conntrack") })
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return []string{err.Error()}
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line) // ipv4 2 tcp 6 SECONDS STATE …
		var seconds int
		if len(fields) < 6 || fields[2] != "tcp" {
			continue
		}
		if _, err := fmt.Sscan(fields[4], &seconds); err != nil {
			return []string{line}
		}
		switch fields[5] {
		case "ESTABLISHED":
			if seconds > crossedSeconds {
				live = append(live, line)
			}
		case "SYN_RECV", "FIN_WAIT", "CLOSE_WAIT":
			if seconds > closedSeconds {
				live = append(live, line)
			}
		}
	}
	return live
}

// descriptors are what a process has open, by kind.
type descriptors struct {
	sockets, pipes, others int
	list                   []string
}

func (s *sidecar) descriptors() descriptors {
	s.w.Helper()
	return descriptorsOf(s.w, s.process.PID())
}

func descriptorsOf(t testing.TB, pid int) descriptors {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("descriptors: %v", err)
	}
	var d descriptors
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil {
			continue // closed since
		}
		switch {
		case strings.HasPrefix(target, "socket:"):
			d.sockets++
		case strings.HasPrefix(target, "pipe:"):
			d.pipes++
		default:
			d.others++
		}
		d.list = append(d.list, entry.Name()+" "+target)
	}
	return d
}
