package sock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Position is how far both directions of a TCP socket are, as the kernel counts.
// It outlives the process that has used the socket, as long as somebody holds a
// descriptor. Taken and Given begin at the same small number, 0 or 1, for the
// life of a socket: what means something is how much they grow.
type Position struct {
	Taken   uint64 // bytes that were read from the socket
	Given   uint64 // bytes that were written to it, whether sent and acknowledged or not
	FinSent bool   // shutdown(2) was called after the last of them
	Closed  bool   // both directions have ended or failed: Taken and Given mean nothing
}

// positionTries bounds how often PositionOf asks again because a packet came
// in between. Two of three calls in a row without one are all that it needs.
const positionTries = 1000

// PositionOf asks the kernel. No other thread may read from the socket or write
// to it meanwhile; packets may come. EAGAIN means that they came without a pause.
//
// Linux counts a sequence number for each byte, and one for SYN and FIN:
//   - tcpi_bytes_received grows by what arrived in order, with the FIN; SIOCINQ is
//     what of it was not read, without the FIN. Their difference is what was read.
//   - tcpi_bytes_acked grows by what the peer acknowledged, with our SYN and FIN;
//     SIOCOUTQ is what it did not acknowledge, with our FIN. Their sum is what was
//     written. tcpi_bytes_sent will not do: it counts retransmissions.
//
// See tcp_rcv_nxt_update and tcp_snd_una_update in net/ipv4/tcp_input.c, tcp_ioctl
// in net/ipv4/tcp.c. Whether FINs are counted in follows from the state, except
// in TCP_CLOSE, where a reset leads as well. After urgent data Taken is too large.
func PositionOf(fd int) (Position, Errno) {
	before, errno := tcpInfo(fd)
	for range positionTries {
		if errno != 0 {
			return Position{}, errno
		}
		unread, errno1 := queued(fd, unix.SIOCINQ)
		unacknowledged, errno2 := queued(fd, unix.SIOCOUTQ)
		after, errno3 := tcpInfo(fd)
		switch {
		case errno3 != 0:
			return Position{}, errno3
		case after.State == unix.BPF_TCP_CLOSE:
			return Position{Closed: true}, 0
		case errno1 != 0:
			return Position{}, errno1
		case errno2 != 0:
			return Position{}, errno2
		}
		if same(&before, &after) {
			return position(&after, unread, unacknowledged), 0
		}
		before = after
	}
	return Position{}, EAGAIN
}

func same(a, b *unix.TCPInfo) bool {
	return a.State == b.State && a.Bytes_received == b.Bytes_received && a.Bytes_acked == b.Bytes_acked
}

func position(info *unix.TCPInfo, unread, unacknowledged int) Position {
	p := Position{
		Taken: info.Bytes_received - uint64(unread),
		Given: info.Bytes_acked + uint64(unacknowledged),
	}
	switch info.State {
	case unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2:
		p.FinSent = true
	case unix.BPF_TCP_CLOSING, unix.BPF_TCP_LAST_ACK:
		p.FinSent = true
		p.Taken--
	case unix.BPF_TCP_CLOSE_WAIT:
		p.Taken--
	}
	if p.FinSent {
		p.Given--
	}
	return p
}

func tcpInfo(fd int) (unix.TCPInfo, Errno) {
	var info unix.TCPInfo
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info, errno
}

// queued asks one of the counts of tcp(7).
func queued(fd int, request uintptr) (int, Errno) {
	var n int32
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&n)))
	return int(n), errno
}
