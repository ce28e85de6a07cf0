package sock

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sibling is a program that is started as a child of this process's parent
// (CLONE_PARENT in clone(2)), which must expect it, and alone learns its status.
type Sibling struct{ process int }

// Attributes are those to start it with. They may be used once.
func (s *Sibling) Attributes() *syscall.SysProcAttr {
	s.process = -1
	return &syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT, PidFD: &s.process}
}

// Wait returns when the program has ended. It must have been started, and is waited
// for once. EBADF is a kernel that does not tell of its end (before Linux 5.3).
func (s *Sibling) Wait() error {
	if s.process < 0 {
		return fmt.Errorf("waiting for a process that is not a child: %w", unix.EBADF)
	}
	defer Close(s.process)
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(s.process), Events: unix.POLLIN}}, -1)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for a process that is not a child: %w", err)
		}
	}
}
