package handover

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/sluiceproxy/sluice/internal/sock"
	"golang.org/x/sys/unix"
)

// crash is a connection through a process that is killed.
type crash struct {
	*relayed
	streams [2]*stream // from the client, from the server
	entry   Entry
}

func newCrash(t *testing.T, id int, client, server habit) *crash {
	t.Helper()
	c := &crash{relayed: newRelayed(t, uint64(id))}
	// The proxy itself has written and read something before the relay began, as
	// with PROXY headers, and it was enrolled with bytes on their way to it.
	header := []byte("PROXY\r\n")
	sock.Write(c.connection.Upstream, header)
	if _, err := c.server.Read(header); err != nil {
		t.Fatal(err)
	}
	c.streams[0] = &stream{habit: client, from: c.client, to: c.server, stop: make(chan struct{})}
	c.streams[1] = &stream{habit: server, from: c.server, to: c.client, stop: make(chan struct{})}
	if client == clogs {
		// A bounded buffer: what does not fit stays in the relay's hands.
		if err := unix.SetsockoptInt(c.connection.Upstream, unix.SOL_SOCKET, unix.SO_SNDBUF, 128<<10); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if c.entry, err = Enrol(&c.connection); err != nil {
		t.Fatal(err)
	}
	return c
}

// round is one kill.
type round struct {
	balanced, unbalanced int
}

// TestKill kills a relaying process at random moments. Each connection that then
// counts as balanced goes on in another relay and delivers every byte; of each one
// that does not, bytes are missing indeed, as many as Recover says.
func TestKill(t *testing.T) {
	noLeak(t)
	var all round
	for i := range killRounds {
		r := killOnce(t, i)
		all.balanced += r.balanced
		all.unbalanced += r.unbalanced
	}
	t.Logf("%d kills: %d connections went on, %d were found to miss bytes", killRounds, all.balanced, all.unbalanced)
	if all.balanced == 0 || all.unbalanced == 0 {
		t.Errorf("%+v: the test has seen only one of the two cases", all)
	}
}

// killRounds is small enough for every run of the tests, and shows both cases.
const killRounds = 8

func habitsOf(i int) (client, server habit) {
	table := [][2]habit{{streams, streams}, {clogs, rests}, {pings, pings}, {pings, rests}, {rests, rests}, {rests, rests}, {ends, streams}, {pings, ends}}
	h := table[i%len(table)]
	return h[0], h[1]
}

const killed = 16 // connections in a round

func killOnce(t *testing.T, number int) (r round) {
	crashes := make([]*crash, killed)
	cmd := child(t, "relay", fmt.Sprintf("SLUICE_TEST_PAIRS=%d", killed))
	for i := range crashes {
		client, server := habitsOf(i)
		crashes[i] = newCrash(t, i, client, server)
		for _, fd := range crashes[i].entry.Descriptors {
			duplicate, errno := sock.Duplicate(fd)
			if errno != 0 {
				t.Fatal(errno)
			}
			file := os.NewFile(uintptr(duplicate), "")
			defer file.Close()
			cmd.ExtraFiles = append(cmd.ExtraFiles, file)
		}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for _, c := range crashes {
		c.streams[0].run()
		c.streams[1].run()
	}
	moment := int64(rand.IntN(1 << 20))
	eventually(t, "the moment to kill", func() bool { return crashes[0].streams[0].received.Load() > moment && settled(crashes) })
	cmd.Process.Kill()
	cmd.Wait()

	for i, c := range crashes {
		name := fmt.Sprintf("kill %d, connection %d", number, i)
		if c.goOn(t, name) {
			r.balanced++
		} else {
			r.unbalanced++
			if c.streams[0].habit == rests && c.streams[1].habit == rests {
				t.Errorf("%s is at rest, and cannot go on", name)
			}
		}
		c.close()
	}
	return r
}

// settled says whether what is to rest does so, and what is to clog.
func settled(crashes []*crash) bool {
	for _, c := range crashes {
		if _, err := Recover(&c.entry); c.streams[0].habit == clogs && !errors.Is(err, ErrUnbalanced) {
			return false
		}
		for _, s := range c.streams {
			if sent := s.sent.Load(); (s.habit == rests || s.habit == ends) && (sent == 0 || s.received.Load() < sent) {
				return false
			}
		}
	}
	return true
}

// goOn relays what is left, in this process, and checks what arrives.
func (c *crash) goOn(t *testing.T, name string) (balanced bool) {
	t.Helper()
	recovered, err := Recover(&c.entry)
	balanced = err == nil
	if err != nil && !errors.Is(err, ErrUnbalanced) {
		t.Fatal(name, err)
	}
	if !balanced {
		recovered = c.connection // to see what would become of it
	}
	c.finish(&recovered)
	sent, received := [2]int64{}, [2]int64{}
	for i, s := range c.streams {
		sent[i], received[i] = s.sent.Load(), s.received.Load()
		if balanced && (s.wrong.Load() > 0 || sent[i] != received[i]) {
			t.Errorf("%s went on: of %d bytes %d arrived and %d were wrong", name, sent[i], received[i], s.wrong.Load())
		}
	}
	if balanced {
		if read := [2]uint64{recovered.FromDownstream.Read, recovered.FromUpstream.Read}; int64(read[0]) > received[0] || int64(read[1]) > received[1] {
			t.Errorf("%s was recovered with %v bytes read, of which %v arrived", name, read, received)
		}
	} else if missing := fmt.Sprintf(": %d from the", max(sent[0]-received[0], sent[1]-received[1])); sent == received && !strings.Contains(err.Error(), "closed") {
		t.Errorf("%s was given up, and nothing is missing: %v", name, err)
	} else if sent[1] == received[1] && !strings.Contains(err.Error(), missing) {
		t.Errorf("%s misses %d bytes, and Recover says %v", name, sent[0]-received[0], err)
	}
	return balanced
}

// finish relays to the end, with the peers stopping.
func (c *crash) finish(recovered *Connection) {
	down := os.NewFile(uintptr(recovered.Downstream), "downstream")
	up := os.NewFile(uintptr(recovered.Upstream), "upstream")
	defer down.Close()
	defer up.Close()
	var relay sync.WaitGroup
	relay.Go(func() { carry(down, up, &recovered.FromDownstream) })
	relay.Go(func() { carry(up, down, &recovered.FromUpstream) })
	for _, s := range c.streams {
		close(s.stop)
	}
	relay.Wait()
	for _, s := range c.streams {
		s.done.Wait()
	}
}
