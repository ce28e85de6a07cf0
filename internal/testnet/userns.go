package testnet

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// leastIDs is how many uids a user namespace must have for those that tests
// use, 1337 the highest of them.
const leastIDs = 2000

// enterUserNamespace runs this program again as root of a new user namespace
// and exits with its status.
//
// A shell waits in the new namespace until the ids are mapped and only then
// executes the program: execve gives a process its capabilities if it is uid
// 0 by then (user_namespaces(7)).
func enterUserNamespace() error {
	if packages := MissingPackages("newuidmap", "newgidmap"); len(packages) > 0 {
		return fmt.Errorf("not root, and a user namespace with uid 1337 in it needs newuidmap and newgidmap; "+
			"run as root, or install them: apt-get install -y %s", strings.Join(packages, " "))
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	gate, open, err := os.Pipe()
	if err != nil {
		return err
	}
	defer open.Close()
	// The child's parent-death signal is bound to the thread that forked it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	wait := `read -r mapped <&3 && exec 3<&- && exec "$@"`
	cmd := exec.Command("/bin/sh", append([]string{"-c", wait, "sh", exe}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.ExtraFiles = []*os.File{gate}
	// Coming back from a host's namespace takes rights over the own one
	// (setns(2)), so that one must belong to the new user namespace.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("not root, and no user namespace can be made (run as root, or allow them: "+
			"sysctl -w user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1): %w", err)
	}
	gate.Close()
	if err := mapIDs(cmd.Process.Pid); err != nil {
		open.Close()
		_ = cmd.Wait() // it fails for want of its gate; err says why
		return err
	}
	if _, err := open.WriteString("mapped\n"); err != nil {
		return err
	}
	os.Exit(passOn(cmd))
	return nil
}

// passOn hands signals to the child, waits for it and returns the exit status
// that a shell would report.
func passOn(cmd *exec.Cmd) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range signals {
			// Too late is no error: the child has gone on its own.
			_ = cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	if err != nil && cmd.ProcessState.ExitCode() <= 0 {
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

// mapIDs makes the calling user uid and gid 0 in the user namespace of pid,
// and his subordinate ids those from 1 on.
func mapIDs(pid int) error {
	me, err := user.Current()
	if err != nil {
		return fmt.Errorf("who am I: %w", err)
	}
	for _, kind := range []struct{ tool, file, own string }{
		{"newuidmap", "/etc/subuid", me.Uid},
		{"newgidmap", "/etc/subgid", me.Gid},
	} {
		text, err := os.ReadFile(kind.file)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		first, count, ok := subordinateIDs(string(text), me.Username, me.Uid)
		if !ok {
			return fmt.Errorf("%s gives %s no range of at least %d ids; add one: "+
				"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %[2]s", kind.file, me.Username, leastIDs)
		}
		tool, err := lookPath(kind.tool)
		if err != nil {
			return err
		}
		cmd := exec.Command(tool, strconv.Itoa(pid), "0", kind.own, "1", "1", first, count)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// subordinateIDs finds the first large enough range of a user, who stands
// there by name or by uid, in the text of /etc/subuid or /etc/subgid
// (subuid(5)).
func subordinateIDs(text, name, uid string) (first, count string, ok bool) {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 3 || fields[0] != name && fields[0] != uid {
			continue
		}
		if n, err := strconv.Atoi(fields[2]); err == nil && n >= leastIDs {
			return fields[1], fields[2], true
		}
	}
	return "", "", false
}
