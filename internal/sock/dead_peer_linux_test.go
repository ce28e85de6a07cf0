package sock

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRTOMaxFor(t *testing.T) {
	cases := []struct {
		name    string
		timeout time.Duration
		want    time.Duration
	}{
		{"the default", 30 * time.Second, 2200 * time.Millisecond},
		{"the shortest that retransmissions can keep", 15 * time.Second, time.Second},
		{"too short", 14 * time.Second, 0},
		{"longer than the kernel's own", time.Hour, 120 * time.Second},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got := rtoMaxFor(tc.timeout); got != tc.want {
				t.Errorf("rtoMaxFor(%s) = %s, want %s", tc.timeout, got, tc.want)
			}
		})
	}
}

// A kernel that can bound retransmissions must not get TCP_USER_TIMEOUT, which
// ends connections to paused readers; any other kernel must.
func TestDialGivesDeadPeersUp(t *testing.T) {
	listening, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer Close(listening)
	fd, err := Dial(LocalAddr(listening), &DialOptions{UserTimeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fd)
	userTimeout, errno := getInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	if errno != 0 {
		t.Fatal(errno)
	}
	rtoMax, errno := getInt(fd, unix.IPPROTO_TCP, tcpRTOMaxMS)
	switch {
	case errno == unix.ENOPROTOOPT && userTimeout == 30_000:
	case errno == 0 && rtoMax == 2200 && userTimeout == 0:
	default:
		t.Errorf("TCP_RTO_MAX_MS is %d (%v), TCP_USER_TIMEOUT is %d", rtoMax, errno, userTimeout)
	}
}

// Every dial to another host asks.
func BenchmarkRTOMaxFor(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		rtoMaxFor(30 * time.Second)
	}
}
