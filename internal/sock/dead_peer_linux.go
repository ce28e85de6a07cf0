package sock

import (
	"sort"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// tcpRTOMaxMS is TCP_RTO_MAX_MS in linux/tcp.h, since Linux 6.15.
	tcpRTOMaxMS = 44

	// What the kernel reckons with (tcp_model_timeout in net/ipv4/tcp_timer.c):
	// retransmissions start at 200 ms, double up to the maximum, and give up
	// after net.ipv4.tcp_retries2, which is 15 unless somebody changed it.
	rtoMin     = 200 * time.Millisecond
	rtoRetries = 15

	// The kernel takes no smaller or larger maximum.
	rtoMaxLeast = time.Second
	rtoMaxMost  = 120 * time.Second
)

// setDeadPeer lets TCP give a peer up that has acknowledged nothing for about
// the timeout, where it would try for a quarter of an hour.
//
// TCP_USER_TIMEOUT does that, and harm too: it also ends connections whose peer
// is well, answers every probe, and only keeps its window closed because its
// reader pauses (docs/decisions/0005-dead-peers.md). Retransmitting at shorter
// intervals, so that the retries are used up in time, does not. It needs Linux
// 6.15, and cannot be made faster than 14 s; otherwise TCP_USER_TIMEOUT has to do.
func setDeadPeer(fd int, timeout time.Duration) Errno {
	if rto := rtoMaxFor(timeout); rto > 0 {
		errno := setInt(fd, unix.IPPROTO_TCP, tcpRTOMaxMS, int(rto.Milliseconds()))
		if errno != unix.ENOPROTOOPT {
			return errno
		}
	}
	return setInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
}

// rtoMaxFor is the longest interval between retransmissions, in steps of 100 ms,
// with which the retries are used up within the timeout, and 0 when none is
// short enough.
func rtoMaxFor(timeout time.Duration) time.Duration {
	const step = 100 * time.Millisecond
	// Searched by halves: each dial asks.
	tooLong := sort.Search(int((rtoMaxMost-rtoMaxLeast)/step)+1, func(i int) bool {
		return givesUpAfter(rtoMaxLeast+time.Duration(i)*step) > timeout
	})
	if tooLong == 0 {
		return 0
	}
	return rtoMaxLeast + time.Duration(tooLong-1)*step
}

func givesUpAfter(rtoMax time.Duration) time.Duration {
	total, interval := time.Duration(0), rtoMin
	for range rtoRetries + 1 {
		total += interval
		interval = min(2*interval, rtoMax)
	}
	return total
}
