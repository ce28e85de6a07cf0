package handover

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
	"golang.org/x/sys/unix"
)

// FuzzMessages has a peer write anything, and descriptors with it, to both sides and
// to a holder: they return, with an error or with what is within the bounds, and
// leave no descriptor.
func FuzzMessages(f *testing.F) {
	frame := func(k kind, body string) []byte {
		return append([]byte{byte(k), 0, 0, 0, 0, byte(len(body))}, body...)
	}
	f.Add(byte(0), frame(kindListeners, `{"Listeners":[{"Listener":"a"}],"More":true}`), byte(1))
	f.Add(byte(1), frame(kindConnections, `[{"ID":1,"Peer":"1.2.3.4:5"}]`), byte(2))
	f.Add(byte(1), frame(kindDone, ``), byte(0))
	f.Add(byte(2), frame(kindTake, `{"IDs":[1]}`), byte(0))
	f.Add(byte(3), frame(kindPut, `{"Name":"a","Record":"AA=="}`), byte(2))
	f.Add(byte(3), append(frame(kindDrop, `{"Name":"a"}`), frame(kindList, ``)...), byte(0))
	f.Add(byte(4), frame(kindEntry, `{"Name":"a"}`), byte(1))
	f.Fuzz(func(t *testing.T, what byte, bytes []byte, descriptors byte) {
		before := openFiles(t)
		own, peer := unixPair(t)
		if n := int(descriptors % 8); len(bytes) > 1 {
			fds := make([]int, n) // of standard input
			bytes[1] = byte(n)
			peer.WriteMsgUnix(bytes, unix.UnixRights(fds...), nil)
		}
		peer.CloseWrite()
		readAny(what, own)
		own.Close()
		peer.Close()
		if after := openFiles(t); after > before {
			t.Errorf("%d descriptors are open, %d before", after, before)
		}
	})
}

// readAny reads as one of the sides.
func readAny(what byte, own *net.UnixConn) {
	l := link{own, time.Second}
	taker, giver := Taker{link: l, ready: time.Second}, Giver{link: l, ready: time.Second}
	switch what % 5 {
	case 0:
		listeners, _ := taker.Listeners()
		for _, socket := range listeners {
			unix.Close(socket.FD)
		}
	case 1:
		taker.Connections()
		closeBatch(taker.batch, nil)
	case 2:
		down, _ := sock.Duplicate(0)
		up, _ := sock.Duplicate(0)
		taken, _ := giver.sendBatch([]Connection{{ID: 1, Downstream: down, Upstream: up}}, nil)
		if len(taken) == 0 {
			sock.CloseAll([]int{down, up})
		}
	case 3:
		h := Holder{entries: make(map[string]Entry), options: HolderOptions{MaxEntries: 4}, quit: make(chan struct{}, 1)}
		for m, err := l.receive(time.Second); err == nil; m, err = l.receive(time.Second) {
			if h.answer(&l, &m) != nil {
				break
			}
		}
		h.dropAll(false)
	case 4:
		s := HolderStore{link: l}
		entries, _ := s.Take()
		discardDuplicates(entries)
	}
}

func unixPair(t testing.TB) (own, peer *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "")
		conn, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = conn.(*net.UnixConn)
	}
	return ends[0], ends[1]
}
