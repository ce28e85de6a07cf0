package sock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read reads into buf, which must not be empty, from a socket: recvfrom(2) costs
// less than read(2), which is for all kinds of files. (0, 0) is the peer's FIN.
// EAGAIN means that nothing waits.
func Read(fd int, buf []byte) (int, Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Peek reads into buf, which must not be empty, and leaves the bytes in the
// socket (MSG_PEEK in recv(2)): the next Peek sees them again, and those that
// came meanwhile behind them. (0, 0) is the peer's FIN without a byte before it.
func Peek(fd int, buf []byte) (int, Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)),
		unix.MSG_PEEK, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Write writes buf, which must not be empty, to a socket, and may write less. It
// never raises SIGPIPE.
func Write(fd int, buf []byte) (int, Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)),
		unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Splice moves up to max bytes between a pipe's end and a socket inside the
// kernel (splice(2)), without blocking. SPLICE_F_MORE is never given: it holds
// back the last bytes of a burst by up to 200 ms.
func Splice(from, to, max int) (int, Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0,
		uintptr(max), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// CloseWrite sends FIN after what is queued (shutdown(2), SHUT_WR).
func CloseWrite(fd int) Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
	return errno
}

// Close closes the descriptor. A socket with unread bytes sends RST, any other
// FIN. There is no error to handle: on Linux the descriptor is gone in any case
// (close(2)).
func Close(fd int) {
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// Disconnect sends RST at once, also if other descriptors of the socket are open
// anywhere: to them it is closed too (connect(2) with AF_UNSPEC; tcp_disconnect in
// net/ipv4/tcp.c). The descriptor stays open. A listening socket ends to listen.
func Disconnect(fd int) Errno {
	to := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&to)), unsafe.Sizeof(to))
	return errno
}

// Reset closes the socket with RST and drops what it had not sent (SO_LINGER
// with time 0, socket(7)).
func Reset(fd int) {
	linger := unix.Linger{Onoff: 1, Linger: 0}
	unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&linger)), unsafe.Sizeof(linger), 0)
	Close(fd)
}
