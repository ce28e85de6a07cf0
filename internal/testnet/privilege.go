package testnet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// insideVar marks, in its environment, the program that Enter has put into a
// user namespace.
const insideVar = "SLUICE_TESTNET_USERNS"

// Enter makes the calling program able to make network namespaces. As root it
// does nothing. As an ordinary user it runs the program again, with the same
// arguments, as root of a new user namespace, waits for it, and exits with
// its status. There the program has no network but lo and the hosts it makes.
// Call it first thing in main; Main does so for tests. The error says what to
// install or to allow.
func Enter() error {
	if err := extendPath(); err != nil {
		return err
	}
	inside := os.Getenv(insideVar) != ""
	switch {
	case mayMakeNamespaces() && inside:
		return settleIn()
	case mayMakeNamespaces():
		return nil
	case inside:
		return errors.New("a user namespace was made, but gives no right to make network namespaces in it; " +
			"allow it (Ubuntu 24.04: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0) or run as root")
	case os.Geteuid() == 0:
		return errors.New("root without CAP_SYS_ADMIN cannot make network namespaces; " +
			"in a container, start it with --privileged or with --cap-add SYS_ADMIN,NET_ADMIN,NET_RAW")
	}
	return enterUserNamespace()
}

// mayMakeNamespaces tells whether this process has CAP_SYS_ADMIN, which
// unshare(2) asks for, in effect.
func mayMakeNamespaces() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return false
	}
	return sets[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// settleIn prepares the inside of a user namespace: lo is down there at first,
// and this process has to end together with the one that made the namespace.
// That cannot be asked for at the start of the process: a gain of
// capabilities on execve forgets it (prctl(2), PR_SET_PDEATHSIG).
func settleIn() error {
	if err := os.Unsetenv(insideVar); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_PDEATHSIG: %w", err)
	}
	if packages := MissingPackages("ip"); len(packages) > 0 {
		return fmt.Errorf("ip is missing; install it with: apt-get install -y %s", strings.Join(packages, " "))
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("bring lo up in the user namespace: %w: %s", err, out)
	}
	return nil
}
