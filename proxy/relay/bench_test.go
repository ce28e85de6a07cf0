package relay

import (
	"cmp"
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// message sends bytes at downstream and takes turns until upstream has them.
func (r *rig) message(bytes, into []byte) {
	for left := bytes; len(left) > 0; {
		n, _ := sock.Write(r.ends[Downstream].fd, left)
		left = left[n:]
		r.turn(0)
		r.drain(into)
	}
	for r.ends[Upstream].got < r.ends[Downstream].sent+len(bytes) {
		r.turn(0)
		r.drain(into)
	}
	r.ends[Downstream].sent += len(bytes)
}

func (r *rig) drain(into []byte) {
	for {
		n, errno := sock.Read(r.ends[Upstream].fd, into)
		if errno != 0 {
			return
		}
		r.ends[Upstream].got += n
	}
}

func TestRelayingAllocatesNothing(t *testing.T) {
	for _, engine := range []string{"", "copy", "splice"} {
		for _, size := range []int{1, 1 << 10, 64 << 10, 1 << 20} {
			r := newRig(t, rigOptions{engine: engine})
			bytes, into := make([]byte, size), make([]byte, 1<<20)
			for range 10 {
				r.message(bytes, into)
			}
			if n := testing.AllocsPerRun(50, func() { r.message(bytes, into) }); n != 0 {
				t.Errorf("engine %q: a message of %d bytes allocates %v times", engine, size, n)
			}
		}
	}
}

// A reader that stops and goes on again costs nothing new either, once the
// spill and the pipe are there.
func TestBackpressureAllocatesNothing(t *testing.T) {
	for _, engine := range []string{"copy", "splice"} {
		r := newRig(t, rigOptions{engine: engine, buffers: 16 << 10})
		bytes, into := make([]byte, 32<<10), make([]byte, 1<<20)
		round := func() {
			for range 20 {
				n, _ := sock.Write(r.ends[Downstream].fd, bytes)
				r.ends[Downstream].sent += n
				r.turn(0)
			}
			for r.ends[Upstream].got < r.ends[Downstream].sent {
				r.turn(0)
				r.drain(into)
			}
		}
		round()
		if n := testing.AllocsPerRun(20, round); n != 0 {
			t.Errorf("engine %s: filling and draining allocates %v times", engine, n)
		}
	}
}

// A client's write, the relay's turns and the server's reads, all on one thread.
//
//	go test ./proxy/relay -run '^$' -bench Message
func BenchmarkMessage(b *testing.B) {
	for _, size := range []int{1, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			r := newRig(b, rigOptions{})
			bytes, into := make([]byte, size), make([]byte, 1<<20)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				r.message(bytes, into)
			}
		})
	}
}

// One long stream. Besides the throughput, which has the work of both ends in
// it, the processor time of the relay's own thread for each GB.
func BenchmarkBulk(b *testing.B) {
	for _, engine := range []string{"", "copy", "splice"} {
		b.Run("engine="+cmp.Or(engine, "auto"), func(b *testing.B) {
			const size = 16 << 20
			r := newRig(b, rigOptions{engine: engine})
			part, into := make([]byte, 1<<20), make([]byte, 1<<20)
			b.SetBytes(size)
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before := threadTime(b)
			for b.Loop() {
				r.stream(size, part, into)
			}
			spent := threadTime(b) - before
			b.ReportMetric(spent.Seconds()*1e3/(float64(b.N)*size/1e9), "relay-ms/GB")
		})
	}
}

// stream sends size bytes through the relay, with both ends in goroutines.
func (r *rig) stream(size int, part, into []byte) {
	go func() {
		for left := size; left > 0; {
			n, errno := sock.Write(r.ends[Downstream].fd, part[:min(left, len(part))])
			if errno != 0 && !waits(r.ends[Downstream].fd, unix.POLLOUT, errno) {
				return
			}
			left -= n
		}
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for left := size; left > 0; {
			n, errno := sock.Read(r.ends[Upstream].fd, into)
			if errno != 0 && !waits(r.ends[Upstream].fd, unix.POLLIN, errno) {
				return
			}
			left -= n
		}
	}()
	for !closed(done) {
		r.turn(1)
	}
}

// threadTime is what the calling thread has used of a processor, getrusage(2).
func threadTime(b *testing.B) time.Duration {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func BenchmarkStart(b *testing.B) {
	r := newRig(b, rigOptions{})
	b.ReportAllocs()
	for b.Loop() {
		r.relay.Start(r.sockets, r.shared, &r.meter, &r.timeouts, 0, 0)
	}
}
