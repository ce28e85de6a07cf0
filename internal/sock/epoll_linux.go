package sock

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Interest and event bits of epoll_ctl(2).
const (
	Readable      = unix.EPOLLIN
	Writable      = unix.EPOLLOUT
	Urgent        = unix.EPOLLPRI   // urgent data, tcp(7)
	PeerShut      = unix.EPOLLRDHUP // the peer sent FIN
	Hangup        = unix.EPOLLHUP
	Failed        = unix.EPOLLERR
	EdgeTriggered = 1 << 31 // unix.EPOLLET is negative
)

// Epoll watches descriptors. One thread waits on it; its owner calls Close.
type Epoll struct {
	fd     int
	events []unix.EpollEvent
}

// NewEpoll makes an Epoll that reports up to batch events at a time.
func NewEpoll(batch int) (*Epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &Epoll{fd: fd, events: make([]unix.EpollEvent, batch)}, nil
}

// Add watches fd for the interest bits; data comes back with its events. The
// descriptor stays its owner's, and leaves the set when it is closed.
func (e *Epoll) Add(fd int, interest uint32, data uint64) Errno {
	return e.control(unix.EPOLL_CTL_ADD, fd, interest, data)
}

// Change replaces what Add asked for.
func (e *Epoll) Change(fd int, interest uint32, data uint64) Errno {
	return e.control(unix.EPOLL_CTL_MOD, fd, interest, data)
}

// Remove ends what Add began, for a descriptor that lives on. To close one is not
// enough where it has a twin, in this process or in another one to which it was
// sent: the set holds what both stand for, until the last of them is closed
// (epoll(7), Questions and answers).
func (e *Epoll) Remove(fd int) Errno {
	return e.control(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func (e *Epoll) control(op, fd int, interest uint32, data uint64) Errno {
	event := unix.EpollEvent{Events: interest, Fd: int32(uint32(data)), Pad: int32(data >> 32)}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(e.fd), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(&event)), 0, 0)
	return errno
}

// Poll waits up to milliseconds without telling the Go scheduler: the thread
// keeps its P. It is for short waits of a busy loop only. A signal (the garbage
// collector's preemption among them) ends it with 0 events.
func (e *Epoll) Poll(milliseconds int) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(e.fd), uintptr(unsafe.Pointer(&e.events[0])),
		uintptr(len(e.events)), uintptr(milliseconds), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// Wait waits up to milliseconds, or without end when negative, and lets the
// scheduler run other goroutines on this P meanwhile.
func (e *Epoll) Wait(milliseconds int) int {
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(e.fd), uintptr(unsafe.Pointer(&e.events[0])),
		uintptr(len(e.events)), uintptr(milliseconds), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// Event is the i-th event of the last Poll or Wait.
func (e *Epoll) Event(i int) (data uint64, events uint32) {
	event := &e.events[i]
	return uint64(uint32(event.Pad))<<32 | uint64(uint32(event.Fd)), event.Events
}

// Close closes the epoll descriptor.
func (e *Epoll) Close() { Close(e.fd) }

// NewWaker makes an eventfd(2) that other threads write to with Wake.
func NewWaker() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("eventfd: %w", err)
	}
	return fd, nil
}

// Wake makes the eventfd readable.
func Wake(fd int) {
	one := [8]byte{1}
	unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
}

// Woken makes the eventfd unreadable again.
func Woken(fd int) {
	var count [8]byte
	unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count))
}

// Reserve opens a descriptor that stands for nothing, to be closed when the
// process has run out of descriptors and needs one (EMFILE).
func Reserve() (int, Errno) {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, toErrno(err)
	}
	return fd, 0
}
