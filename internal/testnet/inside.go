package testnet

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Do runs fn on an OS thread that is inside the host's namespace. Sockets
// made by fn belong to the namespace for good; /proc/sys/net is the host's.
// Goroutines that fn starts are not inside. fn may fail the test.
func (h *Host) Do(fn func()) {
	h.tb.Helper()
	if err := h.space.holder.within(fn); err != nil {
		h.tb.Fatalf("host %s: %v", h, err)
	}
}

// within runs fn on a thread in the namespace. A thread that cannot be
// brought home stays locked to its goroutine, so that the runtime ends it
// together with the goroutine instead of running others on it.
func (h *holder) within(fn func()) (err error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(h.net.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter %s: %w", h.id, err)
	}
	defer func() {
		if failed := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); failed != nil {
			err = fmt.Errorf("leave %s: %w", h.id, failed)
			return
		}
		runtime.UnlockOSThread()
	}()
	fn()
	return nil
}

// Listen returns a listener on the host, closed when the test ends. The
// address must be a literal one. Accepted connections are the caller's. After its
// Close the kernel refuses connections at once.
func (h *Host) Listen(network, address string) net.Listener {
	h.tb.Helper()
	var listener net.Listener
	var err error
	h.Do(func() { listener, err = net.Listen(network, address) })
	if err != nil {
		h.tb.Fatalf("host %s: %v", h, err)
	}
	if tcp, ok := listener.(*net.TCPListener); ok {
		listener = quitter{tcp}
	}
	// A second Close, after the test's own, is an error of no interest.
	h.tb.Cleanup(func() { _ = listener.Close() })
	return listener
}

// quitter is a listener that listens no more after Close. By close(2) alone it goes on
// as long as anybody has the descriptor, and a child that another goroutine
// is just starting has all of them until it executes its program.
type quitter struct{ *net.TCPListener }

func (q quitter) Close() error {
	if raw, err := q.SyscallConn(); err == nil {
		// Whoever has closed it before gets the error of Close below.
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RD) })
	}
	return q.TCPListener.Close()
}

// Dial connects from the host to a literal address. The connection is the
// caller's to close.
func (h *Host) Dial(network, address string) (net.Conn, error) {
	h.tb.Helper()
	return h.DialFrom(&net.Dialer{Timeout: patience}, network, address)
}

// DialFrom is Dial with a dialer of the caller's: a local address, a control
// function, a timeout. Addresses must be literal, for a lookup would not
// happen on the host.
func (h *Host) DialFrom(dialer *net.Dialer, network, address string) (net.Conn, error) {
	h.tb.Helper()
	var conn net.Conn
	var err error
	h.Do(func() { conn, err = dialer.DialContext(context.Background(), network, address) })
	return conn, err
}
