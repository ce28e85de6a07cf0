package sock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Pipe is a kernel pipe, non-blocking at both ends. Its owner calls Close.
type Pipe struct {
	ReadEnd  int
	WriteEnd int
	Size     int // bytes it can hold
}

// NewPipe makes a pipe that can hold size bytes, or as many as the kernel
// grants: an unprivileged user whose pipes hold more than
// fs.pipe-user-pages-soft together gets small ones (pipe(7)).
func NewPipe(size int) (Pipe, Errno) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return Pipe{}, toErrno(err)
	}
	granted, err := unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, size)
	if err != nil {
		granted, err = unix.FcntlInt(uintptr(ends[1]), unix.F_GETPIPE_SZ, 0)
	}
	if err != nil {
		granted = unix.Getpagesize()
	}
	return Pipe{ReadEnd: ends[0], WriteEnd: ends[1], Size: granted}, 0
}

// Read takes bytes out of the pipe into buf, which must not be empty.
func (p Pipe) Read(buf []byte) (int, Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(p.ReadEnd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Close closes both ends; bytes inside are lost.
func (p Pipe) Close() {
	Close(p.ReadEnd)
	Close(p.WriteEnd)
}

func toErrno(err error) Errno {
	if errno, ok := err.(Errno); ok {
		return errno
	}
	return unix.EIO
}
