package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// storeBench is a succession whose old half has a store that does nothing by itself:
// it has all that is put, and drops nothing before the end.
type storeBench struct {
	*succession
	queue *StoreQueue
	ops   []StoreOp
}

func newStoreBench(t *testing.T) *storeBench {
	t.Helper()
	s := &storeBench{succession: newSuccession(t, plain), queue: NewStoreQueue()}
	s.old.loop.Do(func() { s.old.worker.around.Store = s.queue })
	t.Cleanup(func() {
		testnet.Eventually(t, time.Minute, func() error { // connections are ending
			s.take()
			for _, op := range s.ops {
				s.queue.Close(op)
			}
			s.ops = nil
			if n := s.queue.Waiting(); n != 0 {
				return fmt.Errorf("%d entries wait", n)
			}
			return nil
		})
	})
	return s
}

// take returns what was queued since the last time.
func (s *storeBench) take() []StoreOp {
	ops := s.queue.Take()
	s.ops = append(s.ops, ops...)
	return ops
}

// age makes all connections old enough.
func (s *storeBench) age() {
	s.old.loop.Do(func() { s.old.worker.each(func(c *Connection) { c.connected -= enrolAfter }) })
}

// enrol goes round once, and says how many calls that took.
func (s *storeBench) enrol() (calls int) {
	for more := true; more; calls++ {
		s.old.loop.Do(func() { more = s.old.worker.Enrol(s.old.table) })
	}
	return calls
}

func (s *storeBench) stored() (n int) {
	s.old.loop.Do(func() { n = s.old.worker.Stored() })
	return n
}

func (s *storeBench) expectStored(want int) {
	s.t.Helper()
	if n := s.stored(); n != want {
		s.t.Errorf("%d connections count as stored, want %d", n, want)
	}
}

// A connection is stored once it is old enough, once, and dropped when it ends.
func TestEnrol(t *testing.T) {
	s := newStoreBench(t)
	client, server := s.connect()
	exchange(t, client, server)
	s.old.loop.Do(func() {
		s.old.worker.each(func(c *Connection) { c.connected = c.loop().Now() })
		for s.old.worker.Enrol(s.old.table) {
		}
	})
	if len(s.take()) != 0 {
		t.Error("a young connection is stored")
	}
	s.age()
	s.enrol()
	ops := s.take()
	if len(ops) != 1 || ops[0].Put == nil || ops[0].Put.Name != ops[0].Name {
		t.Fatalf("%+v is to be done, want one entry to be put", ops)
	}
	s.expectStored(1)
	if s.enrol(); len(s.take()) != 0 {
		t.Error("it is stored again")
	}
	exchange(t, client, server)
	c, err := handover.Recover(ops[0].Put)
	if err != nil || c.ID != 1 || c.FromDownstream.Read != 10 || handover.EntryName(c.Stored) != ops[0].Name {
		t.Errorf("the entry is of %+v, %v", c, err)
	}
	client.Close()
	server.Close()
	s.old.eventually("it has ended", func() bool { return s.old.live() == 0 })
	if drops := s.take(); len(drops) != 1 || drops[0] != (StoreOp{Name: ops[0].Name}) {
		t.Errorf("at the end %+v is to be done, want a drop of %s", drops, ops[0].Name)
	}
	s.expectStored(0)
}

type partingCase struct {
	name string
	do   func(s *storeBench, client, server *net.TCPConn)
	// What the two read: nil for FIN.
	client, server error
}

func partings() []partingCase {
	linger := func(c *net.TCPConn) {
		c.SetLinger(0)
		c.Close()
	}
	return []partingCase{
		{"FIN of both", func(_ *storeBench, client, server *net.TCPConn) { client.CloseWrite(); server.CloseWrite() }, nil, nil},
		{"reset by the client", func(_ *storeBench, client, _ *net.TCPConn) { linger(client) }, net.ErrClosed, sock.ECONNRESET},
		{"reset by the server", func(_ *storeBench, _, server *net.TCPConn) { linger(server) }, sock.ECONNRESET, net.ErrClosed},
		{"drained", func(s *storeBench, _, _ *net.TCPConn) { s.old.loop.Do(s.old.worker.ResetAll) }, sock.ECONNRESET, sock.ECONNRESET},
	}
}

// The peers of a stored connection hear of its end at once, whatever the store does.
func TestStoredEnds(t *testing.T) {
	for _, tc := range partings() {
		t.Run(tc.name, func(t *testing.T) {
			s := newStoreBench(t)
			client, server := s.connect()
			exchange(t, client, server)
			s.age()
			s.enrol()
			s.expectStored(1)
			tc.do(s, client, server)
			for _, end := range []struct {
				who  string
				conn *net.TCPConn
				want error
			}{{"client", client, tc.client}, {"server", server, tc.server}} {
				if _, err := io.ReadAll(end.conn); !errors.Is(err, end.want) {
					t.Errorf("the %s reads %v, want %v", end.who, err, end.want)
				}
			}
			s.old.eventually("it has ended", func() bool { return s.old.live() == 0 })
			s.old.expectPlaces(placesOf(0))
		})
	}
}

// A walk stores a few at a time, and misses none when others end meanwhile.
func TestEnrolInTurns(t *testing.T) {
	s := newStoreBench(t)
	const count = 3*enrolMost + 1
	var clients, servers []*net.TCPConn
	for range count {
		client, server := s.connect()
		clients, servers = append(clients, client), append(servers, server)
	}
	s.age()
	s.old.loop.Do(func() {
		if !s.old.worker.Enrol(s.old.table) {
			t.Error("one call stores all")
		}
		if n := s.old.worker.Stored(); n != enrolMost {
			t.Errorf("one call stores %d, want %d", n, enrolMost)
		}
	})
	// The one at which the walk goes on, and the last one.
	for _, i := range []int{count - 1 - enrolMost, 0} {
		clients[i].Close()
		servers[i].Close()
	}
	s.old.eventually("two have ended", func() bool { return s.old.live() == count-2 })
	s.enrol()
	s.expectStored(count - 2)
	if calls := s.enrol(); calls != 1 {
		t.Errorf("when all are stored, a walk takes %d calls", calls)
	}
	ops := s.take()
	if n := len(slices.DeleteFunc(ops, func(op StoreOp) bool { return op.Put == nil })); n != count-2 {
		t.Errorf("%d entries are put, want %d", n, count-2)
	}
}

// When the store was lost, everything is put again, and what ends before is dropped.
func TestForgetStore(t *testing.T) {
	s := newStoreBench(t)
	first, firstServer := s.connect()
	s.connect()
	s.age()
	s.enrol()
	names := s.take()
	s.old.loop.Do(s.old.worker.ForgetStore)
	s.expectStored(0)
	first.Close()
	firstServer.Close()
	s.old.eventually("one has ended", func() bool { return s.old.live() == 1 })
	s.enrol()
	ops := s.take()
	if len(names) != 2 || len(ops) != 2 || ops[0] != (StoreOp{Name: names[1].Name}) || ops[1].Put == nil || ops[1].Name != names[0].Name {
		t.Errorf("put first: %+v, then %+v is to be done", names, ops)
	}
	s.expectStored(1)
}

// Whoever has a stored connection next drops it; nobody puts it again.
func TestStoredConnectionMoves(t *testing.T) {
	s := newStoreBench(t)
	client, server := s.connect()
	s.age()
	s.enrol()
	name := s.take()[0].Name
	list := s.old.export(1)
	s.expectStored(0)
	s.old.takeBack(list)
	s.expectStored(1)
	if n := pass(t, s.old, s.new); n != 1 {
		t.Fatalf("%d were passed on", n)
	}
	queue := NewStoreQueue()
	s.new.loop.Do(func() { s.new.worker.around.Store = queue })
	var stored int
	s.new.loop.Do(func() {
		s.new.worker.Enrol(s.new.table)
		stored = s.new.worker.Stored()
	})
	if ops := queue.Take(); len(ops) != 0 || stored != 1 {
		t.Errorf("%d are stored, and %+v is to be done", stored, ops)
	}
	exchange(t, client, server)
	client.CloseWrite()
	server.CloseWrite()
	for _, conn := range []*net.TCPConn{client, server} {
		if _, err := io.ReadAll(conn); err != nil {
			t.Error(err)
		}
	}
	s.new.eventually("it has ended", func() bool { return s.new.live() == 0 })
	if ops := queue.Take(); len(ops) != 1 || ops[0] != (StoreOp{Name: name}) {
		t.Errorf("%+v is to be done, want a drop of %s", ops, name)
	}
	if ops := s.take(); len(ops) != 0 {
		t.Errorf("in the old process %+v is to be done", ops)
	}
}

// A timeout closes by FIN, but a reader of bytes that nobody has read hears of it.
func TestStoredEndsWithUnreadBytes(t *testing.T) {
	s := newStoreBench(t)
	client, server := s.connect()
	s.age()
	s.enrol()
	// The server's buffers fill, and the relay stops to read from the client.
	bytes := make([]byte, 64<<20)
	s.old.eventually("bytes wait in the socket", func() (closed bool) {
		must(t, client.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
		client.Write(bytes)
		s.old.loop.Do(func() {
			c := s.old.worker.live
			if unread, _ := unix.IoctlGetInt(c.fds[0], unix.SIOCINQ); unread > 0 {
				c.relay.Close(0)
				c.relayed()
				closed = true
			}
		})
		return closed
	})
	if _, err := io.ReadAll(client); !errors.Is(err, sock.ECONNRESET) {
		t.Errorf("the client reads %v, want a reset", err)
	}
	server.Close()
}
