package relay

import (
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

const (
	// bufferSize is what the copy engine reads at a time.
	bufferSize = 64 << 10

	// pipeSize is what the splice engine asks of the kernel. A pipe smaller
	// than the copy buffer would be slower than copying.
	pipeSize    = 1 << 20
	minPipeSize = bufferSize

	// Pipes and spill buffers kept for the next relay that needs one.
	maxIdlePipes  = 8
	maxIdleSpills = 8

	// pipePause is how long relays copy after the kernel refused a pipe.
	pipePause = int64(time.Second)
)

// Shared is what the relays of one loop have in common: the buffer to copy
// through, and the pipes and spill buffers that are not in use.
type Shared struct {
	buffer       []byte
	pipes        []sock.Pipe
	spills       []*spill
	pipesRefused int64 // loop time until which no pipe is asked for

	descriptors, pipeDescriptors int // that connections and pipes may use; 0 = all
}

// NewShared makes the shared part for one loop. Its owner calls Close after the
// last relay has ended.
func NewShared() *Shared {
	return &Shared{buffer: make([]byte, bufferSize), pipesRefused: -1,
		descriptors: sock.ConnectionDescriptors(), pipeDescriptors: sock.PipeDescriptors()}
}

// Descriptors is how many of the process's descriptors connections may use, and 0
// when that is not known.
func (s *Shared) Descriptors() int { return s.descriptors }

// Close gives idle pipes back to the kernel.
func (s *Shared) Close() {
	for _, pipe := range s.pipes {
		pipe.Close()
	}
	s.pipes = nil
}

// borrowPipe gives an empty pipe, or false when the kernel grants none that is
// worth having, or only one for which sockets need the descriptors. The borrower
// calls returnPipe.
func (s *Shared) borrowPipe(now int64) (sock.Pipe, bool) {
	if n := len(s.pipes); n > 0 {
		pipe := s.pipes[n-1]
		s.pipes = s.pipes[:n-1]
		return pipe, true
	}
	if now < s.pipesRefused {
		return sock.Pipe{}, false
	}
	pipe, errno := sock.NewPipe(pipeSize)
	if errno == 0 && pipe.Size >= minPipeSize && (s.pipeDescriptors == 0 || max(pipe.ReadEnd, pipe.WriteEnd) < s.pipeDescriptors) {
		return pipe, true
	}
	if errno == 0 {
		pipe.Close()
	}
	s.pipesRefused = now + pipePause
	return sock.Pipe{}, false
}

// returnPipe takes a pipe that holds left bytes. One that is not empty is
// closed: its bytes belong to one connection and must never reach another.
func (s *Shared) returnPipe(pipe sock.Pipe, left int) {
	if left > 0 || len(s.pipes) >= maxIdlePipes {
		pipe.Close()
		return
	}
	s.pipes = append(s.pipes, pipe)
}

// spill holds bytes that were read and that the other side does not take yet:
// data[from:to].
type spill struct {
	data     []byte // bufferSize, or what another owner of the relay had read
	from, to int
}

func (s *Shared) borrowSpill(bytes []byte) *spill {
	var sp *spill
	if n := len(s.spills); n > 0 {
		sp = s.spills[n-1]
		s.spills = s.spills[:n-1]
	} else {
		sp = &spill{data: make([]byte, bufferSize)}
	}
	sp.from, sp.to = 0, copy(sp.data, bytes)
	return sp
}

func (s *Shared) returnSpill(sp *spill) {
	if len(sp.data) == bufferSize && len(s.spills) < maxIdleSpills {
		s.spills = append(s.spills, sp)
	}
}
