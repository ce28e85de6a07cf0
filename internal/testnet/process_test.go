package testnet

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestIdentity(t *testing.T) {
	const (
		none   = "0000000000000000"
		netRaw = "0000000000003000" // CAP_NET_ADMIN 12, CAP_NET_RAW 13
	)
	host := New(t).Host("pod")
	for _, tc := range []struct {
		name, uid, caps string
		host            *Host
	}{
		{"nobody special", "1000", none, host.As(1000, 1000)},
		{"sidecar", "1337", none, host.As(1337, 1337)},
		{"sidecar for TPROXY", "1337", netRaw, host.As(1337, 1337, "net_admin", "net_raw")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status := tc.host.Run("cat", "/proc/self/status")
			for field, want := range map[string]string{
				"Uid": strings.Repeat(" "+tc.uid, 4), "Gid": strings.Repeat(" "+tc.uid, 4),
				"Groups": "", "CapEff": " " + tc.caps, "CapPrm": " " + tc.caps,
			} {
				if got := statusField(status, field); got != strings.TrimSpace(want) {
					t.Errorf("%s is %q, want %q", field, got, strings.TrimSpace(want))
				}
			}
		})
	}
}

func statusField(status, name string) string {
	_, rest, _ := strings.Cut(status, "\n"+name+":")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Join(strings.Fields(line), " ")
}

func TestProcess(t *testing.T) {
	host := New(t).Host("pod")
	p := host.Start("sh", "-c", `trap 'echo bye; exit 7' TERM; exec 5</dev/null; echo ready; while :; do sleep 0.01; done`)
	p.WaitLog("ready")
	if p.Exited() {
		t.Fatal("it has ended")
	}
	if n := p.FDs(); n < 4 {
		t.Errorf("it has %d descriptors, want at least 0, 1, 2 and 5", n)
	}
	p.WaitFDs(p.FDs() + 1)
	if n := p.RSS(); n < 100<<10 || n > 100<<20 {
		t.Errorf("its memory is %d bytes", n)
	}
	if code := p.Stop(); code != 7 {
		t.Errorf("exit status %d, want 7", code)
	}
	if !strings.HasSuffix(p.Log(), "bye\n") {
		t.Errorf("log %q", p.Log())
	}
	killed := host.Start("sleep", "1000")
	killed.Kill()
	if code := killed.Wait(time.Second); code != 128+int(syscall.SIGKILL) {
		t.Errorf("exit status %d after SIGKILL", code)
	}
}

// TestFaults has tests do what must make them fail.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name string
		test func(TB)
		want string
	}{
		{"a program that fails", func(tb TB) { New(tb).Host("a").Run("sh", "-c", "echo why >&2; exit 3") }, "why"},
		{"a program that is not there", func(tb TB) { New(tb).Host("a").Run("no-such-program") }, "no-such-program"},
		{"a log line that does not come", func(tb TB) { New(tb).Host("a").Start("echo", "one").WaitLog("two") }, `has not written "two"`},
		{"a port that nobody listens on", func(tb TB) { New(tb).Host("a").Start("true").WaitListen(80) }, "nothing listens on port 80"},
		{"a process left behind", func(tb TB) {
			host := New(tb).Host("a")
			cmd := host.Command("sleep", "1000")
			if err := cmd.Start(); err != nil {
				tb.Fatalf("%v", err)
			}
			Eventually(tb, patience, func() error {
				id, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
				if err == nil && id != host.space.holder.id {
					err = fmt.Errorf("it is in %s", id)
				}
				return err
			})
			tb.Cleanup(func() { go func() { _ = cmd.Wait() }() })
		}, "processes still running when the test ended: "},
		{"a package that is missing", func(tb TB) { Need(tb, "ip", "no-such-program") }, "apt-get install -y no-such-program"},
		{"a condition that never holds", func(tb TB) {
			Eventually(tb, time.Millisecond, func() error { return os.ErrInvalid })
		}, os.ErrInvalid.Error()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := new(fakeTB).run(tc.test); !strings.Contains(got, tc.want) {
				t.Errorf("the test fails with %q, want %q in it", got, tc.want)
			}
		})
	}
}

// TestWaitListen sees a listener of either family.
func TestWaitListen(t *testing.T) {
	host := New(t).Host("a")
	p := host.Start("sleep", "1000")
	host.Listen("tcp", "127.0.0.1:8001")
	host.Listen("tcp", "[::1]:8002")
	p.WaitListen(8001)
	p.WaitListen(8002)
}

// victimVar makes the test binary the program that TestKilled kills.
const victimVar = "SLUICE_TESTNET_VICTIM"

// victim makes a host with a process on it, tells their pids, and waits to be
// killed.
func victim() int {
	failure := new(fakeTB).run(func(tb TB) {
		host := New(tb).Host("orphan")
		stopped := host.Start("sleep", "1000")
		stopped.Kill()
		p := host.As(1337, 1337).Start("sh", "-c", "sleep 1000 & echo $!; wait")
		p.WaitLog("\n")
		fmt.Println(host.space.holder.pid(), p.PID(), strings.TrimSpace(p.Log()))
		select {}
	})
	fmt.Println(failure)
	return 1
}

// TestKilled shows that nothing outlives a test binary, whatever ended it.
func TestKilled(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimVar+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	pids := strings.Fields(line)
	if len(pids) != 3 {
		t.Fatalf("the victim says %q", line)
	}
	for i, who := range []string{"holder", "process", "child of the process"} {
		Eventually(t, 10*time.Second, func() error {
			stat, err := os.ReadFile("/proc/" + pids[i] + "/stat")
			// Z: dead, and its new parent has yet to take note.
			if os.IsNotExist(err) || strings.Contains(string(stat), ") Z ") {
				return nil
			}
			return fmt.Errorf("%s %s is alive", who, pids[i])
		})
	}
}
