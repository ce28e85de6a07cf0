package relay

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/sock"
)

func TestPipesAreReused(t *testing.T) {
	before := openDescriptors(t)
	s := NewShared()
	first, ok := s.borrowPipe(0)
	if !ok {
		t.Fatal("no pipe")
	}
	s.returnPipe(first, 0)
	if again, ok := s.borrowPipe(0); !ok || again != first {
		t.Errorf("borrowed %+v, want %+v again", again, first)
	}
	unix.Write(first.WriteEnd, []byte("another connection's"))
	s.returnPipe(first, 20)
	if len(s.pipes) != 0 {
		t.Error("a pipe that holds bytes was kept")
	}
	var many []sock.Pipe
	for range 2 * maxIdlePipes {
		pipe, ok := s.borrowPipe(0)
		if !ok {
			t.Fatal("no pipe")
		}
		many = append(many, pipe)
	}
	for _, pipe := range many {
		s.returnPipe(pipe, 0)
	}
	if len(s.pipes) != maxIdlePipes {
		t.Errorf("%d idle pipes are kept, want %d", len(s.pipes), maxIdlePipes)
	}
	s.Close()
	if now := openDescriptors(t); now != before {
		t.Errorf("%d descriptors before, %d after", before, now)
	}
}

func TestSpillsAreReused(t *testing.T) {
	s := NewShared()
	first := s.borrowSpill([]byte("abc"))
	if string(first.data[first.from:first.to]) != "abc" {
		t.Errorf("spill holds %q", first.data[first.from:first.to])
	}
	first.from = 2
	s.returnSpill(first)
	again := s.borrowSpill([]byte("de"))
	if again != first || string(again.data[again.from:again.to]) != "de" {
		t.Errorf("spill %p holds %q, want %p", again, again.data[again.from:again.to], first)
	}
	for range 2 * maxIdleSpills {
		s.returnSpill(&spill{data: make([]byte, bufferSize)})
		s.returnSpill(&spill{data: make([]byte, 2*bufferSize)}) // of another owner: never kept
	}
	for _, sp := range s.spills {
		if len(sp.data) != bufferSize {
			t.Errorf("a spill of %d bytes is kept", len(sp.data))
		}
	}
	if len(s.spills) != maxIdleSpills {
		t.Errorf("%d idle spills are kept, want %d", len(s.spills), maxIdleSpills)
	}
}

// With no pipe to be had, relays copy, and ask again after a pause.
func TestNoPipesToBeHad(t *testing.T) {
	r := newRig(t, rigOptions{engine: "splice"})
	r.shared.pipesRefused = r.now + pipePause
	r.fill(Downstream)
	if f := &r.relay.flows[Downstream]; f.pipe.Size != 0 || f.spill == nil {
		t.Errorf("flow %+v with pipes refused", short(f))
	}
	r.until("all bytes", func() bool { r.read(Upstream, 1<<20); return r.ends[Upstream].got == r.ends[Downstream].sent })
	if r.relay.Engine() != "copy" || r.spliced() != 0 {
		t.Errorf("engine %q, %d bytes spliced", r.relay.Engine(), r.spliced())
	}
	r.now += pipePause
	r.fill(Downstream)
	r.until("all bytes", func() bool { r.read(Upstream, 1<<20); return r.ends[Upstream].got == r.ends[Downstream].sent })
	if r.relay.Engine() != "splice" {
		t.Errorf("engine %q after the pause", r.relay.Engine())
	}
	r.expectMeters()
}

// A pipe whose descriptors sockets may need is given back at once.
func TestPipesLeaveDescriptors(t *testing.T) {
	s := NewShared()
	defer s.Close()
	first, ok := s.borrowPipe(0)
	if !ok {
		t.Fatal("no pipe")
	}
	defer first.Close()
	s.pipeDescriptors = max(first.ReadEnd, first.WriteEnd) + 1
	if second, ok := s.borrowPipe(0); ok {
		second.Close()
		t.Errorf("a pipe %+v beyond %d", second, s.pipeDescriptors)
	}
	if s.pipesRefused != pipePause {
		t.Error("it asks again at once")
	}
	s.pipeDescriptors += 100
	second, ok := s.borrowPipe(pipePause)
	if !ok || min(second.ReadEnd, second.WriteEnd) > max(first.ReadEnd, first.WriteEnd)+2 {
		t.Errorf("got %+v, %t: the refused one is still open", second, ok)
	}
	second.Close()
}

// An unprivileged user whose pipe quota is used up gets no pipe, and no small
// one either: it would be slower than copying.
func TestPipeQuota(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		const uid = 54322
		// The raw call changes this thread alone; Go's own would change all.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
			t.Errorf("setresuid: %v (run the tests as root)", errno)
			return
		}
		s := NewShared()
		defer s.Close()
		for range 5000 {
			pipe, ok := s.borrowPipe(0)
			if !ok {
				break
			}
			defer pipe.Close()
			if pipe.Size < minPipeSize {
				t.Errorf("a pipe of %d bytes", pipe.Size)
			}
		}
		before := openDescriptors(t)
		if s.pipesRefused != pipePause {
			t.Errorf("refused until %d, want %d", s.pipesRefused, pipePause)
		}
		if _, ok := s.borrowPipe(pipePause); ok || s.pipesRefused != 2*pipePause {
			t.Errorf("asked again: %v, refused until %d", ok, s.pipesRefused)
		}
		if now := openDescriptors(t); now != before {
			t.Errorf("a refused pipe leaks: %d descriptors before, %d after", before, now)
		}
	}()
	<-done
}
