package testnet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a program running in the background on a host, with a process
// group of its own.
type Process struct {
	host *Host
	cmd  *exec.Cmd
	name string
	log  *logFile
	done chan struct{} // closed once the process has been waited for
}

// Start starts a program on the host. What is left of it when the test ends
// is killed, its children included.
func (h *Host) Start(name string, args ...string) *Process {
	h.tb.Helper()
	return h.StartCommand(h.Command(name, args...))
}

// StartCommand is Start for a command of Command's that the caller has given
// an environment or a standard input. Its output must be left unset.
func (h *Host) StartCommand(cmd *exec.Cmd) *Process {
	h.tb.Helper()
	log, err := newLogFile()
	if err != nil {
		h.tb.Fatalf("host %s: %v", h, err)
	}
	p := &Process{host: h, cmd: cmd, log: log, done: make(chan struct{})}
	p.name = strings.Join(cmd.Args[1+len(h.enter()):], " ")
	cmd.Stdout, cmd.Stderr = log.file, log.file
	cmd.WaitDelay = time.Second // for a standard input that is not read to its end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		h.tb.Fatalf("host %s: start %s: %v", h, p, err)
	}
	h.space.add(p)
	if err := h.space.holder.adopt(p.PID()); err != nil {
		h.tb.Fatalf("host %s: tell the holder of %s: %v", h, p, err)
	}
	go func() {
		defer close(p.done)
		// How it ended is in ProcessState, for Wait to report.
		_ = cmd.Wait()
	}()
	return p
}

// String returns the command line.
func (p *Process) String() string { return p.name }

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log returns what the process has written to both its outputs so far.
func (p *Process) Log() string { return p.log.String() }

// Exited tells whether the process has ended.
func (p *Process) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// WaitLog waits until the process has written text.
func (p *Process) WaitLog(text string) {
	p.host.tb.Helper()
	p.waitFor(func() error {
		if !strings.Contains(p.Log(), text) {
			return fmt.Errorf("has not written %q", text)
		}
		return nil
	})
}

// WaitListen waits until something on the process's host listens on a TCP
// port, on any address of either family.
func (p *Process) WaitListen(port uint16) {
	p.host.tb.Helper()
	p.waitFor(func() error { return p.host.listening(port) })
}

// waitFor polls a condition that the process must bring about, and gives up
// at once when the process has ended without.
func (p *Process) waitFor(check func() error) {
	p.host.tb.Helper()
	ended := false
	err := poll(patience, func() error {
		ended = p.Exited()
		if err := check(); err == nil || !ended {
			return err
		}
		return nil
	})
	if err == nil && ended {
		err = check()
	}
	if err == nil {
		return
	}
	state := "still runs"
	if ended {
		state = "has ended: " + p.cmd.ProcessState.String()
	}
	p.host.tb.Fatalf("host %s: %s (%s): %v; its log:\n%s", p.host, p, state, err, p.Log())
}

// Signal sends a signal to the process alone. One that has ended already is
// no error.
func (p *Process) Signal(s os.Signal) {
	p.host.tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.host.tb.Fatalf("host %s: send %v to %s: %v", p.host, s, p, err)
	}
}

// Wait waits for the end of the process and returns its exit status; one that
// a signal ended has 128 plus its number.
func (p *Process) Wait(deadline time.Duration) int {
	p.host.tb.Helper()
	select {
	case <-p.done:
	case <-time.After(deadline):
		p.host.tb.Fatalf("host %s: %s has not ended within %v; its log:\n%s", p.host, p, deadline, p.Log())
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Stop asks the process by SIGTERM to end, waits for it, and returns its exit
// status as Wait does.
func (p *Process) Stop() int {
	p.host.tb.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait(patience)
}

// Kill ends the process and the children in its group by SIGKILL and waits
// for it. One that has ended already is no error.
func (p *Process) Kill() {
	p.host.tb.Helper()
	// ESRCH: nobody is left in the group.
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.done
	if err := p.host.space.holder.forget(p.PID()); err != nil {
		p.host.tb.Errorf("host %s: tell the holder that %s has ended: %v", p.host, p, err)
	}
}

func killPID(pid string) {
	if n, err := strconv.Atoi(pid); err == nil {
		// ESRCH: it ended by itself.
		_ = syscall.Kill(n, syscall.SIGKILL)
	}
}
