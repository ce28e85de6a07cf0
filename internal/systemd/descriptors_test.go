package systemd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func environment(pairs ...string) func(string) string {
	values := make(map[string]string)
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}

// activated is the daemon of TestActivation: it takes what it was passed and says
// what that is.
func activated() int {
	os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid())) // exec.Cmd cannot know it before
	passed, err := Descriptors(os.Getenv, os.Getpid())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, d := range passed {
		l, err := net.FileListener(os.NewFile(uintptr(d.FD), d.Name))
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(d.Name, l.Addr())
	}
	return 0
}

// TestActivation starts a process as systemd would, with two listening sockets.
func TestActivation(t *testing.T) {
	var files []*os.File
	var addresses []any
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files, addresses = append(files, file), append(addresses, l.Addr())
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SLUICE_TEST_ACTIVATED=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=inbound")
	cmd.ExtraFiles = files
	got, err := cmd.Output()
	if want := fmt.Sprintf("inbound %v\nunknown %v\n", addresses...); string(got) != want || err != nil {
		t.Errorf("the process says %q, %v; want %q", got, err, want)
	}
}

func TestDescriptorsOfOthers(t *testing.T) {
	cases := []struct {
		name    string
		getenv  func(string) string
		problem string
	}{
		{"none", environment(), ""},
		{"another process", environment("LISTEN_FDS=1", "LISTEN_PID=2"), ""},
		{"no process", environment("LISTEN_FDS=1"), ""},
		{"zero", environment("LISTEN_FDS=0", "LISTEN_PID=1"), ""},
		{"no number", environment("LISTEN_FDS=x", "LISTEN_PID=1"), "LISTEN_FDS"},
		{"negative", environment("LISTEN_FDS=-1", "LISTEN_PID=1"), "LISTEN_FDS"},
		{"too many", environment("LISTEN_FDS=9999999", "LISTEN_PID=1"), "more than"},
		{"not open", environment("LISTEN_FDS=1000000", "LISTEN_PID=1"), "cannot be used"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			passed, err := Descriptors(tc.getenv, 1)
			problem := fmt.Sprint(err)
			if len(passed) > 0 || (tc.problem == "") != (err == nil) || err != nil && !strings.Contains(problem, tc.problem) {
				t.Errorf("got %v, %v; want an error with %q", passed, err, tc.problem)
			}
		})
	}
}

func TestWatchdogInterval(t *testing.T) {
	cases := []struct {
		name   string
		getenv func(string) string
		want   time.Duration
		fails  bool
	}{
		{"off", environment(), 0, false},
		{"on", environment("WATCHDOG_USEC=30000000", "WATCHDOG_PID=7"), 15 * time.Second, false},
		{"for whoever asks", environment("WATCHDOG_USEC=2"), time.Microsecond, false},
		{"another process", environment("WATCHDOG_USEC=30000000", "WATCHDOG_PID=8"), 0, false},
		{"no number", environment("WATCHDOG_USEC=soon", "WATCHDOG_PID=7"), 0, true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got, err := WatchdogInterval(tc.getenv, 7); got != tc.want || (err != nil) != tc.fails {
				t.Errorf("got %v, %v; want %v", got, err, tc.want)
			}
		})
	}
}
