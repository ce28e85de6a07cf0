package usage

import (
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("USAGE_TEST_BURN") != "" {
		burn()
	}
	goleak.VerifyTestMain(m)
}

// burn is a process that uses the processor on several threads.
func burn() {
	for range 2 {
		go func() {
			for n := uint64(1); n != 0; n += 2 { // odd for ever
			}
		}()
	}
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// start runs a program that ends with its standard input, or with the test.
func start(t *testing.T, name string, args ...string) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "USAGE_TEST_BURN=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			ended = true
			stdin.Close()
			cmd.Wait()
		}
	}
	t.Cleanup(end)
	return cmd.Process.Pid, end
}

func mustTake(t *testing.T, pids ...int) Sample {
	t.Helper()
	s, err := Take(pids)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !condition(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func TestSince(t *testing.T) {
	pid, _ := start(t, os.Args[0])
	before := mustTake(t, pid)
	eventually(t, "the process to use 100 ms", func() bool {
		used, err := mustTake(t, pid).Since(before)
		if err != nil {
			t.Fatal(err)
		}
		return used.CPU() > 100*time.Millisecond
	})
	used, err := mustTake(t, pid).Since(before)
	if err != nil {
		t.Fatal(err)
	}
	if used.User < used.System || used.Processes != 1 || used.Threads < 3 {
		t.Errorf("used %+v", used)
	}
	if used.Voluntary+used.Involuntary == 0 || used.Memory.RSS < 1<<20 || used.Memory.PSS > used.Memory.RSS || used.Before.RSS == 0 {
		t.Errorf("used %+v", used)
	}
}

// TestDescendants watches a shell whose child does the work.
func TestDescendants(t *testing.T) {
	pid, _ := start(t, "sh", "-c", `"$0"; true`, os.Args[0])
	eventually(t, "the child to work", func() bool {
		used, err := mustTake(t, pid).Since(Sample{})
		if err != nil {
			t.Fatal(err)
		}
		return used.Processes == 2 && used.CPU() > 50*time.Millisecond
	})
	if once, twice := mustTake(t, pid), mustTake(t, pid, pid); len(once.processes) != len(twice.processes) {
		t.Errorf("a process that is named twice counts twice: %+v", twice)
	}
}

func TestGone(t *testing.T) {
	pid, end := start(t, os.Args[0])
	name := strconv.Itoa(pid)
	before := mustTake(t, pid)
	end()
	if _, err := Take([]int{pid}); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("Take says %v, want an error with %s", err, name)
	}
	self := mustTake(t, os.Getpid())
	if _, err := self.Since(before); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("Since says %v, want an error with %s", err, name)
	}
	again := Sample{processes: []process{{pid: pid, started: math.MaxUint64}}}
	if _, err := again.Since(before); err == nil {
		t.Error("a process with the pid of another is taken for it")
	}
}

func TestNobody(t *testing.T) {
	s := mustTake(t)
	used, err := s.Since(Sample{})
	if err != nil || used.Processes != 0 || !s.Empty() {
		t.Errorf("used %+v, %v", used, err)
	}
}

type timesCase struct {
	name         string
	before, now  process
	user, system time.Duration
}

func TestTimes(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []timesCase{
		{"the precise sum is split", process{user: 10 * ms, system: 10 * ms, ran: 25 * ms},
			process{user: 40 * ms, system: 20 * ms, ran: 69 * ms, threads: 1}, 33 * ms, 11 * ms},
		{"a thread with its time has gone", process{user: 100 * ms, ran: 100 * ms},
			process{user: 300 * ms, ran: 150 * ms, threads: 1}, 200 * ms, 0},
		{"it ran less than before", process{user: 100 * ms, ran: 100 * ms},
			process{user: 110 * ms, ran: 90 * ms, threads: 9}, 10 * ms, 0},
		{"less than a tick", process{}, process{ran: 3 * ms, threads: 1}, 0, 3 * ms},
		{"no schedstat", process{}, process{user: 70 * ms, system: 30 * ms, threads: 1}, 70 * ms, 30 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			user, system := tc.now.times(tc.before)
			if user.Round(time.Microsecond) != tc.user || system.Round(time.Microsecond) != tc.system {
				t.Errorf("got %v and %v, want %v and %v", user, system, tc.user, tc.system)
			}
		})
	}
}
