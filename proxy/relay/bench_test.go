package relay

import (
	"fmt"
	"testing"

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

// go test -run '^$' -bench . ./proxy/relay
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

func BenchmarkBulk(b *testing.B) {
	for _, engine := range []string{"copy", "splice"} {
		b.Run(engine, func(b *testing.B) {
			r := newRig(b, rigOptions{engine: engine})
			const size = 16 << 20
			b.SetBytes(size)
			b.ReportAllocs()
			part, into := make([]byte, 1<<20), make([]byte, 1<<20)
			for b.Loop() {
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
					for left := size; left > 0; {
						n, errno := sock.Read(r.ends[Upstream].fd, into)
						if errno != 0 && !waits(r.ends[Upstream].fd, unix.POLLIN, errno) {
							break
						}
						left -= n
					}
					close(done)
				}()
				for !closed(done) {
					r.turn(1)
				}
			}
		})
	}
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
