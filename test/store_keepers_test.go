package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// keeper keeps a sidecar's sockets while there is no sidecar.
type keeper struct {
	name   string
	launch func() launch // of the next sidecar
	held   func() int    // sockets that it keeps
}

func keepers() map[string]func(*world) *keeper {
	return map[string]func(*world) *keeper{
		"hold":    func(w *world) *keeper { return newHolding(w).keeper() },
		"systemd": func(w *world) *keeper { return newManager(w).keeper() },
	}
}

// holderProcess is `sluice hold`.
type holderProcess struct {
	w       *world
	path    string
	process *testnet.Process
}

func newHolding(w *world) *holderProcess {
	w.Helper()
	dir := filepath.Join(w.net.Dir(), "hold")
	if err := os.Mkdir(dir, 0o777); err != nil {
		w.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		w.Fatal(err)
	}
	h := &holderProcess{w: w, path: filepath.Join(dir, "socket")}
	h.start()
	return h
}

func (h *holderProcess) start() {
	h.w.Helper()
	os.Remove(h.path) // what is left of one that was killed
	h.process = h.w.pod.As(sidecarID, sidecarID).Start(h.w.binary, "hold", "--socket", h.path)
	h.w.eventually(func() error { _, err := os.Stat(h.path); return err })
}

func (h *holderProcess) keeper() *keeper {
	return &keeper{
		name: "hold",
		launch: func() launch {
			l := asSidecar(redirect)
			l.env = []string{"SLUICE_STORE=" + h.path}
			return l
		},
		held: func() int {
			sockets := 0
			for _, line := range descriptorsOf(h.w, h.process.PID()).list {
				if strings.Contains(line, "socket:") {
					sockets++
				}
			}
			return sockets - 1 // where it listens
		},
	}
}

// manager is a fake of systemd's descriptor store: NOTIFY_SOCKET, and LISTEN_FDS for
// the next sidecar.
type manager struct {
	t    testing.TB
	path string
	conn *net.UnixConn
	all  chan struct{} // takes one for each barrier

	mu   sync.Mutex
	kept []keptFile
}

// keptFile is one descriptor in the store.
type keptFile struct {
	name string
	fd   int
}

func newManager(w *world) *manager {
	w.Helper()
	m := &manager{t: w.T, path: filepath.Join(w.net.Dir(), "notify"), all: make(chan struct{}, 1)}
	var err error
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		w.Fatal(err)
	}
	if err := os.Chmod(m.path, 0o777); err != nil {
		w.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for m.next() == nil {
		}
	})
	w.Cleanup(func() {
		m.conn.Close()
		serving.Wait()
		m.remove(func(string) bool { return true })
	})
	return m
}

// next does what one notification asks for.
func (m *manager) next() error {
	text, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*253))
	n, c, _, _, err := m.conn.ReadMsgUnix(text, control)
	if err != nil {
		return err
	}
	lines := strings.Split(string(text[:n]), "\n")
	if slices.Contains(lines, barrier) {
		m.all <- struct{}{}
		return nil
	}
	name := ""
	for _, line := range lines {
		if value, ok := strings.CutPrefix(line, "FDNAME="); ok {
			name = value
		}
	}
	if slices.Contains(lines, "FDSTOREREMOVE=1") {
		m.remove(func(other string) bool { return other == name })
	}
	messages, err := syscall.ParseSocketControlMessage(control[:c])
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return err
		}
		for _, fd := range fds {
			m.kept = append(m.kept, keptFile{name, fd})
		}
	}
	return nil
}

func (m *manager) remove(which func(name string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = slices.DeleteFunc(m.kept, func(k keptFile) bool {
		if which(k.name) {
			syscall.Close(k.fd)
			return true
		}
		return false
	})
}

// barrier is what the test itself says to the manager.
const barrier = "THE TEST WAITS"

// settle waits until what was sent before is done, also by a process that has ended.
func (m *manager) settle() {
	m.t.Helper()
	conn, err := net.Dial("unixgram", m.path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(barrier)); err != nil {
		m.t.Fatal(err)
	}
	<-m.all
}

func (m *manager) keeper() *keeper { return &keeper{"systemd", m.launch, m.held} }

// launch passes all that is kept, in no order that means something.
func (m *manager) launch() launch {
	m.settle()
	m.mu.Lock()
	defer m.mu.Unlock()
	l := asSidecar(redirect)
	// Only the process itself knows its number.
	l.before = []string{"sh", "-c", `export LISTEN_PID=$$; exec "$@"`, "sh"}
	var names []string
	for _, k := range slices.Backward(m.kept) {
		fd, err := unix.FcntlInt(uintptr(k.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			m.t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), k.name)
		m.t.Cleanup(func() { file.Close() })
		l.files = append(l.files, file)
		names = append(names, k.name)
	}
	l.env = []string{"NOTIFY_SOCKET=" + m.path, "SLUICE_STORE=systemd",
		fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES=" + strings.Join(names, ":")}
	return l
}

// held leaves the files with records out.
func (m *manager) held() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	sockets := 0
	for _, k := range m.kept {
		var stat unix.Stat_t
		if err := unix.Fstat(k.fd, &stat); err == nil && stat.Mode&unix.S_IFMT == unix.S_IFSOCK {
			sockets++
		}
	}
	return sockets
}

// closed closes what a launch has passed, when the sidecar has it: it would keep the
// sockets alive.
func (l *launch) closed() {
	for _, file := range l.files {
		file.Close()
	}
	l.files = nil
}

// startAgain starts the next sidecar after one was killed.
func (s *sidecar) startAgain(k *keeper) time.Duration {
	s.w.Helper()
	began := time.Now()
	l := k.launch()
	s.start(l)
	l.closed()
	s.waitReady()
	return time.Since(began)
}
