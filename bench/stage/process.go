package stage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// stopTimeout bounds how long a program may take to end when asked to.
const stopTimeout = 10 * time.Second

// guardScript waits for the end of its input, which comes when this program
// closes it or is gone, and then kills a process group.
const guardScript = `read -r _; kill -s KILL -- "-$1" 2>/dev/null; exit 0`

// process is a program with a process group of its own.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   *tail
	done  chan struct{} // closed once the program has been waited for
	guard *exec.Cmd
	leash io.WriteCloser // the guard's input
}

// start starts a prepared program, whose output must be unset, and a guard for
// it, so that it does not outlive this one.
func start(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, log: &tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		// How it ended is in ProcessState.
		_ = cmd.Wait()
	}()
	p.guard = exec.Command("/bin/sh", "-c", guardScript, "sh", fmt.Sprint(p.pid()))
	// A Ctrl-C at the terminal is not for the guard.
	p.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if p.leash, err = p.guard.StdinPipe(); err == nil {
		err = p.guard.Start()
	}
	if err != nil {
		_ = cmd.Process.Kill() // it has had no time for children
		<-p.done
		return nil, fmt.Errorf("start a guard for %s: %w", name, err)
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// endedError says that a program has ended without having been asked to.
type endedError struct{ name, state, log string }

func (e *endedError) Error() string {
	return fmt.Sprintf("%s has ended by itself: %s; the end of its log: %s", e.name, e.state, e.log)
}

// alive is nil while the program runs. Its error has the exit status and the
// end of the log.
func (p *process) alive() error {
	select {
	case <-p.done:
		return &endedError{p.name, p.cmd.ProcessState.String(), p.log.String()}
	default:
		return nil
	}
}

// stop asks the program by SIGTERM to end and kills what is left of its group
// after that. That it had ended before, did not end in time or ended with an
// error is the error.
func (p *process) stop() error {
	errs := []error{p.alive()}
	if errs[0] == nil {
		errs = append(errs, p.terminate())
	}
	errs = append(errs, p.leash.Close())
	if err := p.guard.Wait(); err != nil {
		errs = append(errs, fmt.Errorf("the guard of %s: %w", p.name, err))
	}
	<-p.done
	return errors.Join(errs...)
}

func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ask %s to end: %w", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		return fmt.Errorf("%s has not ended within %v of SIGTERM and was killed; the end of its log: %s", p.name, stopTimeout, p.log)
	}
	if code := p.cmd.ProcessState.ExitCode(); code > 0 {
		return fmt.Errorf("%s ended with status %d after SIGTERM; the end of its log: %s", p.name, code, p.log)
	}
	return nil
}
