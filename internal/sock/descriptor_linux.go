package sock

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// CloseAll closes all the descriptors.
func CloseAll(fds []int) {
	for _, fd := range fds {
		Close(fd)
	}
}

// Duplicate is another descriptor of the same socket, close-on-exec (F_DUPFD_CLOEXEC
// in fcntl(2)). The caller owns it. Closing one of the two sends nothing to the
// peer; closing the last one does.
func Duplicate(fd int) (int, Errno) {
	duplicate, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(duplicate), 0
}

// CloseOnExec marks a descriptor that another program has passed on.
func CloseOnExec(fd int) Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	return errno
}

// NonBlocking is for sockets that another program has made; those of this package
// are so already.
func NonBlocking(fd int) Errno {
	if err := unix.SetNonblock(fd, true); err != nil {
		return toErrno(err)
	}
	return 0
}

// Cookie is a number of the socket behind fd that no other socket of this host
// gets until the next boot, whatever process looks (SO_COOKIE, Linux 4.12).
func Cookie(fd int) (uint64, Errno) {
	var cookie uint64
	size := uint32(unsafe.Sizeof(cookie))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_COOKIE,
		uintptr(unsafe.Pointer(&cookie)), uintptr(unsafe.Pointer(&size)), 0)
	return cookie, errno
}

// NewMemory makes a file that exists only in memory, for as long as somebody has
// a descriptor of it (memfd_create(2)). The caller owns the descriptor.
func NewMemory(name string) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("memfd_create %s: %w", name, err)
	}
	return fd, nil
}

// MonotonicMicroseconds is CLOCK_MONOTONIC, which all processes of a host share
// (clock_gettime(2)).
func MonotonicMicroseconds() (int64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("CLOCK_MONOTONIC: %w", err)
	}
	return now.Nano() / 1000, nil
}
