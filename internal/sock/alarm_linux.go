package sock

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NewAlarm makes a timerfd(2), which turns readable when the time is up that
// SetAlarm gave it. Its precision is that of the kernel's high-resolution
// timers, microseconds, where epoll_wait(2) knows milliseconds. The caller owns
// the descriptor.
func NewAlarm() (int, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("timerfd_create: %w", err)
	}
	return fd, nil
}

// SetAlarm has the timerfd turn readable once, nanoseconds from now, and takes
// back what was set before. What lies in the past is due at once; negative
// times only take back. A readable timerfd turns unreadable, so that one which
// is watched edge-triggered need not be read; otherwise Woken reads it.
func SetAlarm(fd int, nanoseconds int64) Errno {
	var spec unix.ItimerSpec
	switch {
	case nanoseconds > 0:
		spec.Value = unix.NsecToTimespec(nanoseconds)
	case nanoseconds == 0:
		spec.Value.Nsec = 1 // 0 would disarm
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(fd), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	return errno
}
