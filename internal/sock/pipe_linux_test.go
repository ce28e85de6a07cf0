package sock

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPipeSize(t *testing.T) {
	before := open(t)
	for _, size := range []int{1 << 12, 1 << 16, 1 << 20} {
		pipe, errno := NewPipe(size)
		if errno != 0 {
			t.Fatal(errno)
		}
		if pipe.Size != size {
			t.Errorf("asked for %d bytes, got %d", size, pipe.Size)
		}
		checkFlags(t, "pipe's read end", pipe.ReadEnd)
		checkFlags(t, "pipe's write end", pipe.WriteEnd)
		if n, errno := unix.Write(pipe.WriteEnd, make([]byte, size+1)); n != size || errno != nil {
			t.Errorf("a pipe of %d bytes took %d, %v", size, n, errno)
		}
		pipe.Close()
	}
	if now := open(t); now != before {
		t.Errorf("%d descriptors before, %d after", before, now)
	}
}

// A user without privileges whose pipes have used up the quota gets small ones,
// not an error (fs.pipe-user-pages-soft in proc(5)).
func TestPipePastQuota(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		const uid = 54321
		// The raw call changes this thread alone; Go's own would change all.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
			t.Errorf("setresuid: %v (run the tests as root)", errno)
			return
		}
		var pipes []Pipe
		defer func() {
			for _, pipe := range pipes {
				pipe.Close()
			}
		}()
		for range 200 {
			pipe, errno := NewPipe(1 << 20)
			if errno != 0 {
				t.Errorf("pipe %d: %v", len(pipes), errno)
				return
			}
			pipes = append(pipes, pipe)
			if pipe.Size < 1<<20 {
				checkHolds(t, pipe)
				return
			}
		}
		t.Error("200 pipes of 1 MiB for an unprivileged user: the quota was never met")
	}()
	<-done
}

func checkHolds(t *testing.T, pipe Pipe) {
	t.Helper()
	if pipe.Size <= 0 {
		t.Errorf("size %d", pipe.Size)
		return
	}
	if n, errno := unix.Write(pipe.WriteEnd, make([]byte, pipe.Size)); n != pipe.Size || errno != nil {
		t.Errorf("a pipe that says it holds %d bytes took %d, %v", pipe.Size, n, errno)
	}
}
