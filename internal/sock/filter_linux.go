package sock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// synOnly is a filter as in socket(7), SO_ATTACH_FILTER: of what comes to a TCP
// socket it drops segments with SYN. A program of a TCP socket sees segments from
// the TCP header on, whose byte 13 has the flags (RFC 9293, 3.1).
var synOnly = [...]unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 1 << 1, Jt: 0, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
}

// DropNew makes a listening socket deaf to connections that begin from now on, as if
// their first packets were lost: clients send them again after a second. Handshakes
// that have begun go on. Everyone who has the socket is concerned, and what is
// accepted from it inherits the filter, see TakeNew.
func DropNew(fd int) Errno {
	filter := synOnly
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		uintptr(unsafe.Pointer(&program)), unsafe.Sizeof(program), 0)
	return errno
}

// TakeNew ends DropNew. ENOENT means that there was nothing to end.
func TakeNew(fd int) Errno { return setInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) }
