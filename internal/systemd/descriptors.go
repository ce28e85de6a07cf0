package systemd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluiceproxy/sluice/internal/sock"
)

const (
	firstDescriptor = 3 // SD_LISTEN_FDS_START in sd_listen_fds(3)
	maxDescriptors  = 1 << 20
)

// Descriptor is one that the service manager has passed. Its receiver owns it.
type Descriptor struct {
	Name string // FileDescriptorName= of the socket unit, or FDNAME= of Notifier.Store
	FD   int
}

// Variables are the names of the environment variables that are meant for this
// process alone.
func Variables() []string {
	return []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
}

// Descriptors returns what the service manager has passed to the process pid,
// marked close-on-exec; none when the variables are not there or are meant for
// another process. Call it once: the caller owns the descriptors. A name that is
// missing is "unknown", as in sd_listen_fds_with_names(3).
func Descriptors(getenv func(string) string, pid int) ([]Descriptor, error) {
	count, err := number(getenv, "LISTEN_FDS")
	if err != nil || count == 0 || !concerns(getenv("LISTEN_PID"), pid) {
		return nil, err
	}
	if count > maxDescriptors {
		return nil, fmt.Errorf("LISTEN_FDS=%d is more than %d", count, maxDescriptors)
	}
	var names []string
	if list := getenv("LISTEN_FDNAMES"); list != "" {
		names = strings.Split(list, ":")
	}
	passed := make([]Descriptor, 0, count)
	for i := range count {
		fd := firstDescriptor + i
		if errno := sock.CloseOnExec(fd); errno != 0 {
			return nil, fmt.Errorf("LISTEN_FDS=%d, but descriptor %d cannot be used: %w", count, fd, errno)
		}
		name := "unknown"
		if i < len(names) {
			name = names[i]
		}
		passed = append(passed, Descriptor{Name: name, FD: fd})
	}
	return passed, nil
}

// number reads a count from a variable; 0 when it is not set.
func number(getenv func(string) string, name string) (int, error) {
	text := getenv(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s=%q is not a number that the service manager would set", name, text)
	}
	return n, nil
}

// concerns says whether a variable with a process id means pid.
func concerns(text string, pid int) bool { return text == strconv.Itoa(pid) }
