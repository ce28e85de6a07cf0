package rules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Host is the network namespace that the calling thread is in, seen through
// iptables and iproute2. Calls do not exclude one another: two Apply at the
// same time leave the last state for each table, not for all.
type Host struct {
	dirs []string
}

// commandTimeout bounds one call of a tool, lockWait the wait of
// iptables-restore for another program that is changing the rules.
const (
	commandTimeout = 20 * time.Second
	lockWait       = "--wait=10"
)

// NewHost looks the tools up in the directories of path, a list as in $PATH.
func NewHost(path string) Host { return Host{dirs: filepath.SplitList(path)} }

// SearchPath is path and where distributions keep administrators' programs,
// which an ordinary user's PATH often leaves out.
func SearchPath(path string) string {
	return path + ":/usr/local/sbin:/usr/sbin:/sbin"
}

// command is one call of a tool.
type command struct {
	name  string
	args  []string
	stdin string
}

func (c command) String() string { return strings.Join(append([]string{c.name}, c.args...), " ") }

func (h Host) find(name string) (string, error) {
	for _, dir := range h.dirs {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return file, nil
		}
	}
	pkg := "iptables"
	if name == "ip" {
		pkg = "iproute2"
	}
	return "", fmt.Errorf("%w: no %s in %s; install it (package %s, for example apt-get install -y %s)%s",
		ErrToolMissing, name, strings.Join(h.dirs, ":"), pkg, pkg, withoutIPv6(name))
}

// withoutIPv6 is the way out for those who do not need what is failing.
func withoutIPv6(name string) string {
	if strings.HasPrefix(name, "ip6") {
		return ", or leave IPv6 out with --ipv6 off"
	}
	return ""
}

func (h Host) has(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		_, err := h.find(name)
		return err != nil
	})
}

// run starts the tool, waits for it and returns what it printed on stdout. An
// error has what it printed on stderr.
func (h Host) run(ctx context.Context, c command) (string, error) {
	file, err := h.find(c.name)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, file, c.args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), &stdout, &stderr
	cmd.WaitDelay = commandTimeout // its output may come later than its end
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", err, ctx.Err())
		}
		return "", explain(c, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// explain adds to a tool's failure what a user needs to mend it.
func explain(c command, err error, printed string) error {
	if printed == "" {
		printed = "it printed nothing"
	}
	err = fmt.Errorf("%s: %w: %s", c, err, printed)
	if line := failedLine(c.stdin, printed); line != "" {
		err = fmt.Errorf("%w (that line is %q)", err, line)
	}
	low := strings.ToLower(printed)
	refused := []string{"permission denied", "operation not permitted", "you must be root"}
	if slices.ContainsFunc(refused, func(s string) bool { return strings.Contains(low, s) }) {
		return fmt.Errorf("%w: %w; run as root with capability CAP_NET_ADMIN (and CAP_NET_RAW) in this network namespace",
			ErrPermission, err)
	}
	if id := unmappedOwner(c.stdin); id != "" {
		return fmt.Errorf("%w; %s is not mapped in this user namespace (see /proc/self/uid_map and gid_map), "+
			"so no rule can name it: map it, or give other ids", err, id)
	}
	return fmt.Errorf("%w%s", err, withoutIPv6(c.name))
}

// failedLine finds the line that iptables-restore complains of: "line 7
// failed", or "line 7: RULE_APPEND failed" from the nf_tables one.
func failedLine(stdin, printed string) string {
	m := regexp.MustCompile(`line:? (\d+)`).FindStringSubmatch(printed)
	if m == nil {
		return ""
	}
	lines := strings.Split(stdin, "\n")
	n, err := strconv.Atoi(m[1])
	if err != nil || n < 1 || n > len(lines) {
		return ""
	}
	return lines[n-1]
}

// unmappedOwner finds the first uid or gid that the rules name and this user
// namespace does not have: the kernel then refuses the whole table with
// nothing but EINVAL.
func unmappedOwner(stdin string) string {
	for _, m := range regexp.MustCompile(`--([ug]id)-owner (\d+)`).FindAllStringSubmatch(stdin, -1) {
		text, err := os.ReadFile("/proc/self/" + m[1] + "_map")
		if err == nil && !mapped(string(text), m[2]) {
			return m[1] + " " + m[2]
		}
	}
	return ""
}

// mapped reads the format of user_namespaces(7): inside, outside, length.
func mapped(text, id string) bool {
	want, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return false
	}
	for line := range strings.Lines(text) {
		var first, outside, length uint64
		if n, err := fmt.Sscan(line, &first, &outside, &length); n == 3 && err == nil &&
			want >= first && want < first+length {
			return true
		}
	}
	return false
}

// HasIPv6 reports whether this network namespace has any IPv6 address: not
// when the kernel has no IPv6 or disable_ipv6 is set.
func HasIPv6() (bool, error) {
	// thread-self, because the thread may be in another namespace than the
	// process. Columns are in proc_net(5); one line is one address.
	text, err := os.ReadFile("/proc/thread-self/net/if_inet6")
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return len(bytes.TrimSpace(text)) > 0, err
}

// kernelHas reports whether the kernel knows the family at all.
func kernelHas(f Family) bool {
	if f == IPv4 {
		return true
	}
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}
