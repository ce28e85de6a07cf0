package sock

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// positionOf is PositionOf once what the peer has sent is there.
func positionOf(t *testing.T, fd int) Position {
	t.Helper()
	p, errno := PositionOf(fd)
	if errno != 0 {
		t.Fatalf("PositionOf: %v", errno)
	}
	return p
}

// unread waits until so many bytes can be read from fd.
func unread(t *testing.T, fd, want int) {
	t.Helper()
	eventually(t, "the bytes to arrive", func() bool {
		n, errno := queued(fd, unix.SIOCINQ)
		return errno == 0 && n == want
	})
}

func inState(t *testing.T, fd int, state uint8) {
	t.Helper()
	eventually(t, "the state of the connection", func() bool {
		info, errno := tcpInfo(fd)
		return errno == 0 && info.State == state
	})
}

func mustRead(t *testing.T, fd, n int) {
	t.Helper()
	if got, errno := Read(fd, make([]byte, n)); got != n || errno != 0 {
		t.Fatalf("Read = %d, %v; want %d", got, errno, n)
	}
}

type positionStep struct {
	name   string
	do     func(t *testing.T, dialled, accepted int)
	taken  [2]uint64 // since the beginning: of the dialled socket, and the accepted one
	given  [2]uint64
	fins   [2]bool
	closed [2]bool
}

// TestPosition walks two sockets through every state in which a relay can be.
func TestPosition(t *testing.T) {
	orders := []struct {
		name  string
		steps []positionStep
	}{
		{"dialled ends first", []positionStep{
			{name: "written, not read", do: func(t *testing.T, d, a int) { mustWrite(t, d, "0123456789"); unread(t, a, 10) }, given: [2]uint64{10, 0}},
			{name: "read in part", do: func(t *testing.T, d, a int) { mustRead(t, a, 4) }, given: [2]uint64{10, 0}, taken: [2]uint64{0, 4}},
			{name: "FIN behind unread bytes", do: func(t *testing.T, d, a int) { CloseWrite(d); inState(t, a, unix.BPF_TCP_CLOSE_WAIT) },
				given: [2]uint64{10, 0}, taken: [2]uint64{0, 4}, fins: [2]bool{true, false}},
			{name: "all read but the FIN", do: func(t *testing.T, d, a int) { mustRead(t, a, 6) },
				given: [2]uint64{10, 0}, taken: [2]uint64{0, 10}, fins: [2]bool{true, false}},
			{name: "the FIN read", do: func(t *testing.T, d, a int) { readFin(t, a) },
				given: [2]uint64{10, 0}, taken: [2]uint64{0, 10}, fins: [2]bool{true, false}},
			{name: "the other way", do: func(t *testing.T, d, a int) { mustWrite(t, a, "abc"); unread(t, d, 3); mustRead(t, d, 1) },
				given: [2]uint64{10, 3}, taken: [2]uint64{1, 10}, fins: [2]bool{true, false}},
			{name: "both FINs", do: func(t *testing.T, d, a int) { CloseWrite(a); inState(t, d, unix.BPF_TCP_CLOSE) },
				closed: [2]bool{true, true}},
		}},
		{"accepted ends first", []positionStep{
			{name: "FIN without a byte", do: func(t *testing.T, d, a int) { CloseWrite(a); inState(t, d, unix.BPF_TCP_CLOSE_WAIT) }, fins: [2]bool{false, true}},
			{name: "bytes after it", do: func(t *testing.T, d, a int) { mustWrite(t, d, "xyz"); unread(t, a, 3) },
				given: [2]uint64{3, 0}, fins: [2]bool{false, true}},
			{name: "reset", do: func(t *testing.T, d, a int) { resetKeeping(t, d); inState(t, a, unix.BPF_TCP_CLOSE) }, closed: [2]bool{true, true}},
		}},
	}
	for _, order := range orders {
		t.Run(order.name, func(t *testing.T) {
			dialled, accepted := pair(t)
			defer Close(dialled)
			defer Close(accepted)
			began := [2]Position{positionOf(t, dialled), positionOf(t, accepted)}
			for _, step := range order.steps {
				step.do(t, dialled, accepted)
				for i, fd := range []int{dialled, accepted} {
					checkPosition(t, step, i, began[i], positionOf(t, fd))
				}
			}
		})
	}
}

func checkPosition(t *testing.T, step positionStep, i int, began, p Position) {
	t.Helper()
	if p.Closed && step.closed[i] || step.closed[i] && i == 1 {
		return // the second one may still be on its way to TCP_CLOSE
	}
	got := Position{Taken: p.Taken - began.Taken, Given: p.Given - began.Given, FinSent: p.FinSent, Closed: p.Closed}
	want := Position{Taken: step.taken[i], Given: step.given[i], FinSent: step.fins[i], Closed: step.closed[i]}
	if got != want {
		t.Errorf("%s: socket %d is at %+v, want %+v", step.name, i, got, want)
	}
}

// readFin reads the end of the stream.
func readFin(t *testing.T, fd int) {
	t.Helper()
	n, errno := Read(fd, make([]byte, 1))
	if n != 0 || errno != 0 {
		t.Fatalf("Read = %d, %v; want the FIN", n, errno)
	}
}

// resetKeeping resets a connection and keeps the descriptor: connect to
// AF_UNSPEC dissolves it.
func resetKeeping(t *testing.T, fd int) {
	t.Helper()
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		t.Fatal(err)
	}
	raw := unix.RawSockaddrAny{}
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet4); errno != 0 {
		t.Fatal(errno)
	}
}

// TestPositionOfUnacknowledged counts bytes that the peer's full window keeps in
// this host.
func TestPositionOfUnacknowledged(t *testing.T) {
	dialled, accepted := pair(t)
	defer Close(dialled)
	defer Close(accepted)
	began, given := positionOf(t, dialled), uint64(0)
	for chunk := make([]byte, 64<<10); ; {
		n, errno := Write(dialled, chunk)
		if errno == EAGAIN {
			break
		}
		given += uint64(n)
	}
	if Unsent(dialled) == 0 {
		t.Fatal("everything was acknowledged; the test shows nothing")
	}
	if p := positionOf(t, dialled); p.Given-began.Given != given {
		t.Errorf("Given grew by %d, want %d", p.Given-began.Given, given)
	}
}

func TestPositionOfNoSocket(t *testing.T) {
	if _, errno := PositionOf(-1); errno != unix.EBADF {
		t.Errorf("PositionOf(-1) = %v, want EBADF", errno)
	}
}
