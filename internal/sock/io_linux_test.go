package sock

import (
	"bytes"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCloseWriteSendsFin(t *testing.T) {
	a, b := pair(t)
	defer Close(a)
	defer Close(b)
	mustWrite(t, a, "last")
	if errno := CloseWrite(a); errno != 0 {
		t.Fatal(errno)
	}
	waitFor(t, b, unix.POLLRDHUP)
	buf := make([]byte, 16)
	if n, errno := Read(b, buf); string(buf[:n]) != "last" || errno != 0 {
		t.Errorf("read %q, %v", buf[:n], errno)
	}
	if n, errno := Read(b, buf); n != 0 || errno != 0 {
		t.Errorf("at the end: %d, %v; want 0 and no error", n, errno)
	}
	mustWrite(t, b, "answer")
	waitFor(t, a, unix.POLLIN)
	if n, _ := Read(a, buf); string(buf[:n]) != "answer" {
		t.Errorf("the other direction gave %q", buf[:n])
	}
	if errno := CloseWrite(-1); errno != unix.EBADF {
		t.Errorf("CloseWrite of no descriptor: %v, want EBADF", errno)
	}
}

// endOf is what a reader finds after the bytes that wait.
func endOf(t *testing.T, fd int) (Errno, int) {
	t.Helper()
	buf, total := make([]byte, 1<<16), 0
	for {
		waitFor(t, fd, unix.POLLIN)
		n, errno := Read(fd, buf)
		if errno == EAGAIN {
			continue
		}
		if n == 0 {
			return errno, total
		}
		total += n
	}
}

func TestCloseWithNothingUnreadSendsFin(t *testing.T) {
	a, b := pair(t)
	defer Close(b)
	mustWrite(t, a, "bytes")
	Close(a)
	if errno, n := endOf(t, b); errno != 0 || n != 5 {
		t.Errorf("peer sees %v after %d bytes, want FIN after 5", errno, n)
	}
}

func TestCloseWithUnreadBytesSendsReset(t *testing.T) {
	a, b := pair(t)
	defer Close(b)
	mustWrite(t, b, "nobody reads this")
	waitFor(t, a, unix.POLLIN)
	Close(a)
	if errno, n := endOf(t, b); errno != ECONNRESET || n != 0 {
		t.Errorf("peer sees %v after %d bytes, want ECONNRESET", errno, n)
	}
}

func TestResetSendsReset(t *testing.T) {
	a, b := pair(t)
	defer Close(b)
	mustWrite(t, a, "before")
	eventually(t, "acknowledgement", func() bool { return Unsent(a) == 0 })
	Reset(a)
	if errno, n := endOf(t, b); errno != ECONNRESET || n != 6 {
		t.Errorf("peer sees %v after %d bytes, want ECONNRESET after 6", errno, n)
	}
}

// The process outlives a write to a connection that is gone, and learns of it.
func TestWriteAfterReset(t *testing.T) {
	a, b := pair(t)
	defer Close(b)
	Reset(a)
	waitFor(t, b, unix.POLLERR)
	if _, errno := Write(b, []byte("x")); errno != ECONNRESET {
		t.Errorf("first write: %v, want ECONNRESET", errno)
	}
	if _, errno := Write(b, []byte("x")); errno != EPIPE {
		t.Errorf("second write: %v, want EPIPE", errno)
	}
}

func TestUnsent(t *testing.T) {
	a, b := pair(t)
	defer Close(a)
	defer Close(b)
	if n := Unsent(a); n != 0 {
		t.Errorf("%d bytes unsent before the first", n)
	}
	chunk, written := make([]byte, 1<<20), 0
	for {
		n, errno := Write(a, chunk)
		if errno == EAGAIN {
			break
		}
		written += n
	}
	if n := Unsent(a); n <= 0 || n > written {
		t.Errorf("%d of %d bytes unsent to a reader that does not read", n, written)
	}
	for got := 0; got < written; {
		waitFor(t, b, unix.POLLIN)
		n, errno := Read(b, chunk)
		if errno != 0 && errno != EAGAIN {
			t.Fatal(errno)
		}
		got += n
	}
	eventually(t, "all acknowledged", func() bool { return Unsent(a) == 0 })
	if n := Unsent(-1); n != 0 {
		t.Errorf("Unsent of no descriptor = %d", n)
	}
}

func TestSplice(t *testing.T) {
	a, b := pair(t)
	defer Close(a)
	defer Close(b)
	c, d := pair(t)
	defer Close(c)
	defer Close(d)
	pipe, errno := NewPipe(1 << 20)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer pipe.Close()
	if _, errno := Splice(b, pipe.WriteEnd, pipe.Size); errno != EAGAIN {
		t.Fatalf("splice from an empty socket: %v, want EAGAIN", errno)
	}
	if _, errno := Splice(pipe.ReadEnd, c, pipe.Size); errno != EAGAIN {
		t.Fatalf("splice from an empty pipe: %v, want EAGAIN", errno)
	}
	want := bytes.Repeat([]byte("sluice"), 1000)
	mustWrite(t, a, string(want))
	waitFor(t, b, unix.POLLIN)
	n, errno := Splice(b, pipe.WriteEnd, pipe.Size)
	if n != len(want) || errno != 0 {
		t.Fatalf("socket to pipe: %d, %v; want %d", n, errno, len(want))
	}
	if n, errno = Splice(pipe.ReadEnd, c, n); n != len(want) || errno != 0 {
		t.Fatalf("pipe to socket: %d, %v; want %d", n, errno, len(want))
	}
	waitFor(t, d, unix.POLLIN)
	got := make([]byte, len(want)+1)
	if n, _ = Read(d, got); !bytes.Equal(got[:n], want) {
		t.Errorf("%d other bytes came out", n)
	}
	CloseWrite(a)
	waitFor(t, b, unix.POLLRDHUP)
	if n, errno := Splice(b, pipe.WriteEnd, pipe.Size); n != 0 || errno != 0 {
		t.Errorf("splice at FIN: %d, %v; want 0 and no error", n, errno)
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	a, b := pair(t)
	defer Close(a)
	defer Close(b)
	pipe, errno := NewPipe(1 << 16)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer pipe.Close()
	buf := make([]byte, 64)
	check := func(what string, fn func()) {
		t.Helper()
		if n := testing.AllocsPerRun(200, fn); n != 0 {
			t.Errorf("%s allocates %v times", what, n)
		}
	}
	check("Write and Read", func() { Write(a, buf); waitReadable(b); Read(b, buf) })
	check("Read that finds nothing", func() { Read(b, buf) })
	check("Splice", func() {
		Write(a, buf)
		waitReadable(b)
		n, _ := Splice(b, pipe.WriteEnd, len(buf))
		Splice(pipe.ReadEnd, b, n)
		waitReadable(a)
		Read(a, buf)
	})
	check("Unsent and TakeError", func() { Unsent(a); TakeError(a) })
	check("LocalAddr and PeerAddr", func() { LocalAddr(a); PeerAddr(a) })
}

// waitReadable is waitFor without allocations: loopback has delivered already,
// or will within a few looks.
func waitReadable(fd int) {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if n, _ := unix.Poll(fds[:], 100); n == 1 {
			return
		}
	}
}

func TestAcceptAndDialAllocateNothing(t *testing.T) {
	for _, ip := range []netip.Addr{loopback4, loopback6} {
		listener, addr := mustListen(t, netip.AddrPortFrom(ip, 0), ListenOptions{})
		o := DialOptions{}
		n := testing.AllocsPerRun(100, func() {
			dialled, _ := Dial(addr, &o)
			waitReadable(listener)
			accepted, _, _ := Accept(listener)
			Accept(listener) // finds nothing
			Reset(dialled)
			Reset(accepted)
		})
		if n != 0 {
			t.Errorf("%v: Dial, Accept, Reset allocate %v times", ip, n)
		}
	}
}

func BenchmarkWriteRead(b *testing.B) {
	x, y := pair(b)
	defer Close(x)
	defer Close(y)
	buf := make([]byte, 1024)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		Write(x, buf)
		for {
			if n, _ := Read(y, buf); n > 0 {
				break
			}
		}
	}
}

func BenchmarkAccept(b *testing.B) {
	listener, addr := mustListen(b, netip.AddrPortFrom(loopback4, 0), ListenOptions{})
	o := DialOptions{}
	b.ReportAllocs()
	for b.Loop() {
		dialled, err := Dial(addr, &o)
		if err != nil {
			b.Fatal(err)
		}
		waitReadable(listener)
		accepted, _, _ := Accept(listener)
		Reset(dialled)
		Reset(accepted)
	}
}
