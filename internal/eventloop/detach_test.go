package eventloop

import (
	"io"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// held is a watched socket that another process holds too, and its other end.
func held(t *testing.T, l *Loop, h Handler) (fd, peer int, w Watch) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[1]) })
	twin, err := unix.Dup(pair[0])
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("cat") // until its input ends
	file := os.NewFile(uintptr(twin), "twin")
	holder.ExtraFiles = []*os.File{file}
	input, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	file.Close()
	t.Cleanup(func() {
		input.Close()
		holder.Wait()
	})
	return pair[0], pair[1], watch(t, l, pair[0], h, 0)
}

// A descriptor that was given away wakes nobody, although what it stands for
// lives on in another process. One that is only forgotten and closed does.
func TestDetach(t *testing.T) {
	for _, tc := range []struct {
		name    string
		giveUp  func(l *Loop, w Watch, fd int)
		reports int
	}{
		{"detached", func(l *Loop, w Watch, fd int) {
			if errno := l.Detach(w, fd); errno != 0 {
				t.Errorf("Detach: %v", errno)
			}
			sock.Close(fd)
		}, 0},
		{"forgotten", func(l *Loop, w Watch, fd int) {
			l.Forget(w)
			sock.Close(fd)
		}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := still(t, Options{})
			calls := 0
			fd, peer, w := held(t, l, &fake{events: func(uint32, uint32) { calls++ }})
			l.Again(w, 0)
			tc.giveUp(l, w, fd)
			if _, err := io.WriteString(descriptor(peer), "x"); err != nil {
				t.Fatal(err)
			}
			n := l.epoll.Poll(0)
			l.serve(n)
			l.runAgain()
			if n != tc.reports || calls != 0 {
				t.Errorf("%d reports and %d calls of the handler, want %d and none", n, calls, tc.reports)
			}
		})
	}
}

// What was fetched before is dropped, too, and a stranger's number is refused.
func TestDetachDropsWhatWasFetched(t *testing.T) {
	l := still(t, Options{})
	calls := 0
	fd, peer, w := held(t, l, &fake{events: func(uint32, uint32) { calls++ }})
	defer sock.Close(fd)
	if _, err := io.WriteString(descriptor(peer), "x"); err != nil {
		t.Fatal(err)
	}
	n := l.epoll.Poll(0)
	l.Detach(w, fd)
	l.serve(n)
	if n != 1 || calls != 0 {
		t.Errorf("%d reports fetched and %d calls, want one and none", n, calls)
	}
	if errno := l.Detach(w, fd); errno != sock.ENOENT {
		t.Errorf("the second Detach: %v, want ENOENT", errno)
	}
}

type descriptor int

func (d descriptor) Write(b []byte) (int, error) { return unix.Write(int(d), b) }
