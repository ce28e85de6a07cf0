package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/internal/daemon"
	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/systemd"
)

// upgradeFrom is the variable by which a daemon tells the process that it starts
// for SIGUSR2 where to take over.
const upgradeFrom = "SLUICE_UPGRADE_FROM"

// errManagersChild is how a new process has ended that the service manager is the
// parent of.
var errManagersChild = errors.New("its status is known to the service manager")

// upgradeOf is from where this process takes over, and how the next one does.
func upgradeOf(takeover string, env *env) daemon.Upgrade {
	u := daemon.Upgrade{From: takeover, At: takeover, Start: func(from string) (<-chan error, error) { return startSuccessor(env, from) }}
	if from := env.getenv(upgradeFrom); from != "" {
		u.From, u.Must = from, true
	}
	return u
}

// startSuccessor starts the program that is installed where this process's was, with
// the same arguments. What it sends is how the process has ended. A service manager is
// told that it is the main process from now on, and must be its parent by then: systemd
// does not wait for the end of another process's child, it kills it at once when the
// unit is stopped (main_pid_alien in its sources).
func startSuccessor(env *env, from string) (<-chan error, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding out which program this is: %w", err)
	}
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Env = successorEnviron(env.environ(), from)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	wait := cmd.Wait
	if env.getenv("NOTIFY_SOCKET") != "" {
		var sibling sock.Sibling
		cmd.SysProcAttr = sibling.Attributes()
		wait = func() error { return errors.Join(errManagersChild, sibling.Wait()) }
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- wait() }()
	return ended, nil
}

// successorEnviron leaves out what the service manager has meant for this process
// alone. The next one talks to it too, and is watched by it.
func successorEnviron(environ []string, from string) []string {
	own := slices.DeleteFunc(systemd.Variables(), func(name string) bool { return name == "NOTIFY_SOCKET" || name == "WATCHDOG_USEC" })
	own = append(own, upgradeFrom)
	next := slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(own, name)
	})
	return append(next, upgradeFrom+"="+from)
}

// activated are the listening sockets that the service manager has made
// (systemd.socket(5)). They are told apart by their addresses.
func activated(passed []systemd.Descriptor) []handover.ListenerSocket {
	var list []handover.ListenerSocket
	for _, d := range passed {
		list = append(list, handover.ListenerSocket{Listener: d.Name, Address: sock.LocalAddr(d.FD), Kept: true, FD: d.FD})
	}
	return list
}
