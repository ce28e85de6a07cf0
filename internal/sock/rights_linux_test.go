package sock

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRights(t *testing.T) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll(ends[:])
	dialled, accepted := pair(t)
	defer Close(dialled)
	defer Close(accepted)
	before := open(t)

	if err := unix.Sendmsg(ends[0], []byte("x"), Rights([]int{dialled, accepted}), nil, 0); err != nil {
		t.Fatal(err)
	}
	control := make([]byte, RightsSpace(MaxRights))
	_, n, _, _, err := unix.Recvmsg(ends[1], make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseRights(control[:n])
	if err != nil || len(got) != 2 {
		t.Fatalf("ParseRights = %v, %v; want two descriptors", got, err)
	}
	for i, fd := range []int{dialled, accepted} {
		want, _ := Cookie(fd)
		if cookie, errno := Cookie(got[i]); cookie != want || errno != 0 {
			t.Errorf("descriptor %d has cookie %d, %v; want %d", i, cookie, errno, want)
		}
	}
	CloseAll(got)
	if after := open(t); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

func TestParseRightsRefusesGarbage(t *testing.T) {
	if fds, err := ParseRights(make([]byte, RightsSpace(1))); err == nil {
		t.Errorf("ParseRights = %v, want an error", fds)
	}
	if Rights(nil) != nil {
		t.Error("no descriptors need no control message")
	}
}

func TestPeerOf(t *testing.T) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll(ends[:])
	if peer, err := PeerOf(ends[0]); peer != (Peer{os.Getuid(), os.Getpid()}) || err != nil {
		t.Errorf("PeerOf = %+v, %v; want user %d and process %d", peer, err, os.Getuid(), os.Getpid())
	}
	if _, err := PeerOf(-1); err == nil {
		t.Error("PeerOf(-1) gives no error")
	}
}

func TestDuplicate(t *testing.T) {
	dialled, accepted := pair(t)
	defer Close(accepted)
	duplicate, errno := Duplicate(dialled)
	if errno != 0 {
		t.Fatal(errno)
	}
	Close(dialled)
	mustWrite(t, duplicate, "x")
	waitFor(t, accepted, unix.POLLIN)
	mustRead(t, accepted, 1)
	if n, errno := Read(accepted, make([]byte, 1)); errno != EAGAIN {
		t.Errorf("closing one of two descriptors was noticed: read %d, %v", n, errno)
	}
	Close(duplicate)
	if _, errno := Duplicate(-1); errno != unix.EBADF {
		t.Errorf("Duplicate(-1) = %v, want EBADF", errno)
	}
}
