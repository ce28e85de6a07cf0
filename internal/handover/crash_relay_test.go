package handover

import (
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/sluiceproxy/sluice/internal/sock"
	"golang.org/x/sys/unix"
)

// childFlow is one direction in a relay that is made to be killed: it often has
// bytes in its hands, in memory or in a pipe.
type childFlow struct {
	from, to int
	waiting  []byte
	pipe     *sock.Pipe // nil: copies
	inPipe   int
	ended    bool
	finSent  bool
}

// childRelay relays between the pairs of sockets that begin at descriptor 3, until
// it is killed.
func childRelay() error {
	var pairs int
	if _, err := fmt.Sscan(os.Getenv("SLUICE_TEST_PAIRS"), &pairs); err != nil {
		return err
	}
	var flows []*childFlow
	var polled []unix.PollFd
	for i := range pairs {
		a, b := 3+2*i, 4+2*i
		for _, f := range []*childFlow{{from: a, to: b}, {from: b, to: a}} {
			unix.SetNonblock(f.from, true)
			if i%2 == 1 {
				pipe, errno := sock.NewPipe(64 << 10)
				if errno != 0 {
					return errno
				}
				f.pipe = &pipe
			}
			flows = append(flows, f)
			polled = append(polled, unix.PollFd{Fd: int32(f.from), Events: unix.POLLIN})
		}
	}
	fmt.Println("relaying")
	buffer := make([]byte, 64<<10)
	for {
		moved := false
		for _, f := range flows {
			moved = f.turn(buffer) || moved
		}
		if !moved {
			unix.Poll(polled, 1)
		}
	}
}

// turn takes some bytes, or gives some of those that it has, and says whether there
// was anything to do.
func (f *childFlow) turn(buffer []byte) bool {
	some := 1 + rand.IntN(len(buffer))
	switch {
	case f.finSent:
		return false
	case len(f.waiting) > 0:
		n, _ := sock.Write(f.to, f.waiting[:min(some, len(f.waiting))])
		f.waiting = f.waiting[n:]
		return n > 0
	case f.inPipe > 0:
		n, _ := sock.Splice(f.pipe.ReadEnd, f.to, min(some, f.inPipe))
		f.inPipe -= n
		return n > 0
	case f.ended:
		f.finSent = true
		sock.CloseWrite(f.to)
		return true
	case f.pipe != nil:
		n, errno := sock.Splice(f.from, f.pipe.WriteEnd, some)
		f.inPipe, f.ended = n, n == 0 && errno == 0
		return n > 0 || f.ended
	}
	n, errno := sock.Read(f.from, buffer[:some])
	f.waiting = append(f.waiting[:0], buffer[:n]...)
	f.ended = n == 0 && errno == 0
	return n > 0 || f.ended
}
