package relay

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// result is what one end of a transfer saw.
type result struct {
	n   int
	sum [sha256.Size]byte
	err error
}

// send writes n bytes at a side and then FIN.
func (r *rig) send(side Side, n int) <-chan result {
	done := make(chan result, 1)
	fd := r.ends[side].fd
	go func() {
		block := make([]byte, 1<<20+1)
		rand.NewChaCha8([32]byte{byte(side)}).Read(block)
		hash, sent := sha256.New(), 0
		for sent < n {
			part := block[:min(len(block), n-sent)]
			hash.Write(part)
			sent += len(part)
			for len(part) > 0 {
				m, errno := sock.Write(fd, part)
				if errno != 0 && !waits(fd, unix.POLLOUT, errno) {
					done <- result{n: sent, err: fmt.Errorf("sending: %w", errno)}
					return
				}
				part = part[m:]
			}
		}
		sock.CloseWrite(fd)
		done <- result{n: sent, sum: [sha256.Size]byte(hash.Sum(nil))}
	}()
	return done
}

// receive reads at a side until FIN.
func (r *rig) receive(side Side) <-chan result {
	done := make(chan result, 1)
	fd := r.ends[side].fd
	go func() {
		buf, hash, got := make([]byte, 1<<20), sha256.New(), 0
		for {
			n, errno := sock.Read(fd, buf)
			switch {
			case n > 0:
				got += n
				hash.Write(buf[:n])
			case errno == 0:
				done <- result{n: got, sum: [sha256.Size]byte(hash.Sum(nil))}
				return
			case !waits(fd, unix.POLLIN, errno):
				done <- result{n: got, err: fmt.Errorf("receiving: %w", errno)}
				return
			}
		}
	}()
	return done
}

// waits waits for an event if errno says that it is missing.
func waits(fd int, event int16, errno sock.Errno) bool {
	if errno != sock.EAGAIN {
		return false
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: event}}, 10_000)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

func expectSame(t *testing.T, what string, sent, got result) {
	t.Helper()
	if sent.err != nil || got.err != nil || sent.n != got.n || sent.sum != got.sum {
		t.Errorf("%s: sent %d bytes (%v), received %d (%v), hashes equal: %v",
			what, sent.n, sent.err, got.n, got.err, sent.sum == got.sum)
	}
}

// Both ends send at once as fast as they can, by each engine.
func TestBulkBothWays(t *testing.T) {
	for _, engine := range []string{"copy", "splice"} {
		t.Run(engine, func(t *testing.T) {
			r := newRig(t, rigOptions{engine: engine})
			down, up := r.send(Downstream, bulkBytes), r.send(Upstream, bulkBytes)
			atUp, atDown := r.receive(Upstream), r.receive(Downstream)
			for r.status != Finished {
				r.turn(1000)
			}
			expectSame(t, "downstream to upstream", <-down, <-atUp)
			expectSame(t, "upstream to downstream", <-up, <-atDown)
			r.expectMeters()
			r.expectPoolsEmpty()
			spliced := r.spliced()
			if r.relay.Engine() != engine {
				t.Errorf("engine %q", r.relay.Engine())
			}
			if engine == "splice" && spliced < bulkBytes || engine == "copy" && spliced != 0 {
				t.Errorf("%d of %d bytes were spliced", spliced, 2*bulkBytes)
			}
			if r.relay.End().Cause != Fin {
				t.Errorf("end %+v", r.relay.End())
			}
		})
	}
}

// After one side's FIN, 50 MiB go the other way.
func TestBulkAfterHalfClose(t *testing.T) {
	engines(t, func(t *testing.T, side Side, engine string) {
		const n = 50 << 20
		r := newRig(t, rigOptions{engine: engine})
		r.write(side, 100)
		r.fin(side)
		r.readToEnd(side.other())
		sent, got := r.send(side.other(), n), r.receive(side)
		for r.status != Finished {
			r.turn(1000)
		}
		expectSame(t, "after the half-close", <-sent, <-got)
		r.expectEnd(End{Cause: Fin, By: side})
		r.expectMeters()
	})
}
