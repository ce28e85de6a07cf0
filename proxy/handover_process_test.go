package proxy

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/proxy/relay"
)

// successorSocket, in the environment, makes TestSuccessor the other process.
const successorSocket = "SLUICE_TEST_SUCCESSOR"

// parcel is a connection between the two processes of a test.
type parcel struct {
	Conn handover.Connection
	Last bool // it stays
}

func sendParcel(t *testing.T, socket int, p *parcel) {
	t.Helper()
	text, err := json.Marshal(p)
	must(t, err)
	size := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	must(t, unix.Sendmsg(socket, size, unix.UnixRights(p.Conn.Downstream, p.Conn.Upstream), nil, 0))
	_, err = descriptor(socket).Write(text)
	must(t, err)
	unix.Close(p.Conn.Downstream)
	unix.Close(p.Conn.Upstream)
}

func receiveParcel(t *testing.T, socket int) *parcel {
	t.Helper()
	size, rights := make([]byte, 4), make([]byte, unix.CmsgSpace(8))
	_, n, _, _, err := unix.Recvmsg(socket, size, rights, unix.MSG_CMSG_CLOEXEC)
	must(t, err)
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	must(t, err)
	if len(messages) != 1 {
		t.Fatalf("%d control messages", len(messages))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	must(t, err)
	text := make([]byte, binary.BigEndian.Uint32(size))
	_, err = io.ReadFull(descriptor(socket), text)
	must(t, err)
	p := new(parcel)
	must(t, json.Unmarshal(text, p))
	p.Conn.Downstream, p.Conn.Upstream = fds[0], fds[1]
	return p
}

type descriptor int

func (d descriptor) Read(b []byte) (int, error) { return unix.Read(int(d), b) }

func (d descriptor) Write(b []byte) (written int, err error) {
	for written < len(b) && err == nil {
		var n int
		n, err = unix.Write(int(d), b[written:])
		written += max(n, 0)
	}
	return written, err
}

// moved waits until the one connection has read more than it had in the other
// process, from both sides, and exports it.
func (w *workbench) moved(was *handover.Connection) Exported {
	w.t.Helper()
	w.eventually("bytes have moved here", func() bool {
		var down, up uint64
		w.loop.Do(func() {
			down, up = w.worker.live.relay.Read(relay.Downstream), w.worker.live.relay.Read(relay.Upstream)
		})
		return down > was.FromDownstream.Read && up > was.FromUpstream.Read
	})
	list := w.export(1)
	if len(list) != 1 {
		w.t.Fatalf("%d connections were exported, want 1", len(list))
	}
	return list[0]
}

// TestSuccessor is the other process of TestHandOverBetweenProcesses; by itself it
// does nothing.
func TestSuccessor(t *testing.T) {
	if os.Getenv(successorSocket) == "" {
		return
	}
	const socket = 3
	w := newWorkbench(t)
	for {
		p := receiveParcel(t, socket)
		must(t, w.take(&p.Conn))
		if p.Last {
			break
		}
		e := w.moved(&p.Conn)
		sendParcel(t, socket, &parcel{Conn: e.Connection})
	}
	w.eventually("the connection has ended", func() bool { return w.live() == 0 })
	r := w.last()
	fmt.Printf("ended %d %s %d %d\n", r.ConnectionID, r.CloseReason, r.BytesReceived, r.BytesSent)
}

// A stream goes on while its connection moves between two processes.
func TestHandOverBetweenProcesses(t *testing.T) {
	s := newSuccession(t, plain)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(pair[0]) })
	theirs := os.NewFile(uintptr(pair[1]), "successor")
	other := exec.Command(os.Args[0], "-test.run=^TestSuccessor$")
	other.Env = append(os.Environ(), successorSocket+"=3")
	other.ExtraFiles = []*os.File{theirs}
	var output strings.Builder
	other.Stdout, other.Stderr = &output, &output
	must(t, other.Start())
	theirs.Close()
	t.Cleanup(func() {
		other.Process.Kill() // it has ended unless the test failed
		other.Wait()
	})
	client, server := s.connect()
	var stop atomic.Bool
	up, down := stream(client, 1, 200_000, &stop), stream(server, 2, 100_000, &stop)
	atServer, atClient := receive(server), receive(client)
	e := s.old.export(1)[0]
	for range 20 {
		sendParcel(t, pair[0], &parcel{Conn: e.Connection})
		back := receiveParcel(t, pair[0])
		must(t, s.old.take(&back.Conn))
		e = s.old.moved(&back.Conn)
	}
	sendParcel(t, pair[0], &parcel{Conn: e.Connection, Last: true})
	stop.Store(true)
	sentUp, sentDown := <-up, <-down
	expectEqual(t, "client to server", sentUp, <-atServer)
	expectEqual(t, "server to client", sentDown, <-atClient)
	if err := other.Wait(); err != nil {
		t.Errorf("the other process: %v", err)
	}
	if want := fmt.Sprintf("ended %d fin %d %d\n", e.ID, sentUp.n, sentDown.n); !strings.Contains(output.String(), want) {
		t.Errorf("the other process says %q, want %q", output.String(), want)
	}
	s.old.expectPlaces(placesOf(0))
	s.expectNoLine(0)
}
