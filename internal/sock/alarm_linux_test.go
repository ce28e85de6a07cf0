package sock

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestAlarm(t *testing.T) {
	fd, err := NewAlarm()
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fd)
	const hour = 3600 * 1_000_000_000
	for _, tc := range []struct {
		name string
		in   int64
		due  bool
	}{
		{"soon", 1_000_000, true},
		{"at once", 0, true},
		{"later", hour, false},
		{"longer than a timer's nanoseconds can be", 2*hour + 1_999_999_999, false},
		{"soon instead of later", 1000, true},
		{"taken back", -1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if errno := SetAlarm(fd, tc.in); errno != 0 {
				t.Fatal(errno)
			}
			if !tc.due {
				var buf [8]byte
				if _, err := unix.Read(fd, buf[:]); err != EAGAIN {
					t.Fatalf("the alarm has rung: %v", err)
				}
				return
			}
			waitFor(t, fd, unix.POLLIN)
		})
	}
	if errno := SetAlarm(fd, 0); errno != 0 {
		t.Fatal(errno)
	}
	waitFor(t, fd, unix.POLLIN)
	Woken(fd)
	var buf [8]byte
	if _, err := unix.Read(fd, buf[:]); err != EAGAIN {
		t.Fatalf("after Woken the alarm is still readable: %v", err)
	}
}
