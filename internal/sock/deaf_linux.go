package sock

import "golang.org/x/sys/unix"

// nowhere is the index of a network device that no host has: the kernel counts up
// from 1.
const nowhere = 1<<31 - 1

// Deafen makes a listening socket deaf to connections that begin from now on: the
// kernel refuses them, as if nobody listened. Handshakes that have begun go on, and
// what waits in the queue stays there, because both belong to no device. Everyone who
// has the socket is concerned, and there is no way back without CAP_NET_RAW.
//
// It is bound to a device that does not exist (SO_BINDTOIFINDEX, Linux 5.1; since 5.7
// without a capability). A packet filter would do too, but where Linux asks for
// CAP_NET_ADMIN for one on a TCP socket (6.18) a sidecar has none.
func Deafen(fd int) Errno { return setInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, nowhere) }

// Deaf says whether Deafen was called for a socket, by whoever.
func Deaf(fd int) bool {
	device, errno := getInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX)
	return errno == 0 && device == nowhere
}
