package testnet

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Need fails the test unless all the programs are installed, and says what to
// type to install them. It never skips: a machine that lacks them would
// report success without having tested anything.
func Need(tb TB, programs ...string) {
	tb.Helper()
	if packages := MissingPackages(programs...); len(packages) > 0 {
		tb.Fatalf("programs are missing; install them with: apt-get install -y %s", strings.Join(packages, " "))
	}
}

// MissingPackages returns the Debian packages, sorted, of those programs that
// are not installed.
func MissingPackages(programs ...string) []string {
	var missing []string
	for _, program := range programs {
		if _, err := lookPath(program); err != nil {
			missing = append(missing, packageOf(program))
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// lookPath is exec.LookPath that looks into the sbin directories too: they
// are not in an ordinary user's PATH on Debian, and iptables lives there.
func lookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil || strings.Contains(program, "/") {
		return path, err
	}
	for _, dir := range sbinDirs() {
		if path, sbinErr := exec.LookPath(filepath.Join(dir, program)); sbinErr == nil {
			return path, nil
		}
	}
	return "", err
}

func sbinDirs() []string { return []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} }

// extendPath appends the sbin directories to PATH.
func extendPath() error {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, dir := range sbinDirs() {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return os.Setenv("PATH", strings.Join(dirs, string(filepath.ListSeparator)))
}

// packageOf names the Debian and Ubuntu package that a program comes from.
func packageOf(program string) string {
	switch program {
	case "ip", "ss", "tc":
		return "iproute2"
	case "iptables", "iptables-save", "iptables-restore",
		"ip6tables", "ip6tables-save", "ip6tables-restore":
		return "iptables"
	case "nsenter", "unshare", "setpriv":
		return "util-linux"
	case "newuidmap", "newgidmap":
		return "uidmap"
	case "redis-cli":
		return "redis-tools"
	case "psql":
		return "postgresql-client"
	case "ssh", "ssh-keygen":
		return "openssh-client"
	case "sshd":
		return "openssh-server"
	case "nc":
		return "netcat-openbsd"
	default:
		return program
	}
}
