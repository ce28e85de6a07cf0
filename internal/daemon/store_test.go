package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// fakeStore is a store in this process that can fail. Its entries outlive daemons.
type fakeStore struct {
	mu      sync.Mutex
	entries map[string]handover.Entry
	most    int           // entries; 0: any number
	gone    error         // what all calls answer
	hangs   chan struct{} // calls wait until it is closed; nil: none waits
	opened  int
	drops   []string
}

func newFakeStore(t *testing.T) *fakeStore {
	f := &fakeStore{entries: make(map[string]handover.Entry)}
	t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, e := range f.entries {
			sock.CloseAll(e.Descriptors)
		}
		clear(f.entries) // a daemon may still be ending
	})
	return f
}

func (f *fakeStore) open(context.Context) (handover.Store, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened++
	return f, f.gone
}

// enter waits as long as the store hangs; the caller unlocks.
func (f *fakeStore) enter() {
	f.mu.Lock()
	hangs := f.hangs
	f.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	f.mu.Lock()
}

func (f *fakeStore) Put(e handover.Entry) error {
	f.enter()
	defer f.mu.Unlock()
	if f.gone != nil {
		return f.gone
	}
	if _, has := f.entries[e.Name]; f.most > 0 && len(f.entries) >= f.most && !has {
		return handover.ErrRefused
	}
	own, err := e.Duplicate()
	if err == nil {
		sock.CloseAll(f.entries[e.Name].Descriptors)
		f.entries[e.Name] = own
	}
	return err
}

func (f *fakeStore) Drop(name string) error {
	f.enter()
	defer f.mu.Unlock()
	if f.gone != nil {
		return f.gone
	}
	f.drops = append(f.drops, name)
	sock.CloseAll(f.entries[name].Descriptors)
	delete(f.entries, name)
	return nil
}

func (f *fakeStore) Take() ([]handover.Entry, error) {
	f.enter()
	defer f.mu.Unlock()
	var all []handover.Entry
	for _, e := range f.entries {
		own, err := e.Duplicate()
		if err != nil {
			return nil, err
		}
		all = append(all, own)
	}
	return all, f.gone
}

func (f *fakeStore) Alive() error {
	f.enter()
	defer f.mu.Unlock()
	return f.gone
}

func (f *fakeStore) Close() error { return nil }

func (f *fakeStore) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// has counts the connections and the listening sockets in the store.
func (f *fakeStore) has() (connections, listeners int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.entries {
		if e.IsListener() {
			listeners++
		} else {
			connections++
		}
	}
	return connections, listeners
}

func (f *fakeStore) waitFor(t *testing.T, connections, listeners int) {
	t.Helper()
	eventually(t, "what is in the store", func() bool {
		c, l := f.has()
		return c == connections && l == listeners
	})
}

func newStoreTrial(t *testing.T, f *fakeStore) *trial {
	tr := newTrial(t)
	tr.options = func(o *Options) { o.Store = f.open }
	return tr
}

// TestStore has a connection stored, go on without a store and with another one, and
// nothing left at the end.
func TestStore(t *testing.T) {
	f := newFakeStore(t)
	tr := newStoreTrial(t, f)
	tr.start()
	first, second := tr.connect(), tr.connect()
	tr.echoes(first)
	tr.echoes(second)
	f.waitFor(t, 2, 2)
	eventually(t, "4 entries are reported", func() bool { return tr.daemon.keeping.entries() == 4 })

	f.set(func() { f.gone = errors.New("gone") })
	tr.waitLog("the store for sockets is gone; trying to reach it again")
	tr.echoes(first)
	if n := tr.daemon.keeping.entries(); n != 0 {
		t.Errorf("without a store %v entries are reported", n)
	}
	second.Close()
	eventually(t, "one to end", func() bool { return tr.daemon.around.Limits.Active() == 1 })
	f.set(func() { f.gone = nil })
	tr.waitLog("the store for sockets can be reached")
	f.waitFor(t, 1, 2)

	f.set(func() { f.most = 3 })
	third := tr.connect()
	tr.echoes(third)
	tr.waitLog("the store does not take everything; some connections will not survive a crash")
	f.waitFor(t, 1, 2)
	eventually(t, "3 entries are reported", func() bool { return tr.daemon.keeping.entries() == 3 })
	first.Close() // now there is room
	eventually(t, "the third connection is stored", func() bool { return tr.daemon.keeping.missing.Load() == 0 && tr.daemon.keeping.entries() == 3 })
	f.waitFor(t, 1, 2)
	if n := tr.daemon.keeping.failures.Load(); n < 2 {
		t.Errorf("%d failures are counted", n)
	}
	tr.daemon.Quit()
	if _, err := io.ReadAll(third); !errors.Is(err, sock.ECONNRESET) {
		t.Errorf("at the end the client reads %v", err)
	}
	tr.waitEnd()
	f.waitFor(t, 0, 0)
}

// TestStoreHangs has a store that does not answer. Nobody waits for it, but a while at
// the end.
func TestStoreHangs(t *testing.T) {
	f := newFakeStore(t)
	tr := newStoreTrial(t, f)
	tr.start()
	conn := tr.connect()
	tr.echoes(conn)
	f.waitFor(t, 1, 2)
	eventually(t, "3 entries are reported", func() bool { return tr.daemon.keeping.entries() == 3 })
	hangs := make(chan struct{})
	f.set(func() { f.hangs = hangs })
	tr.echoes(conn)
	conn.(*net.TCPConn).CloseWrite()
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the client reads %v, want its end", err)
	}
	eventually(t, "the connection to end", func() bool { return tr.daemon.around.Limits.Active() == 0 })
	if n := tr.daemon.keeping.entries(); n != 3 {
		t.Errorf("%v entries are reported, want the connection's too: the store still has it", n)
	}
	tr.echoes(tr.connect())
	tr.daemon.Quit()
	tr.waitEnd()
	if tr.logs.FilterMessage("the store for sockets does not answer; what it has stays there").Len() != 1 {
		t.Error("the log does not tell of a store that does not answer")
	}
	close(hangs)
	eventually(t, "the store's goroutine to end", func() bool {
		select {
		case <-tr.daemon.keeping.over:
			return true
		default:
			return false
		}
	})
}

// TestStoreAtTheStart starts with a store that is not there, one that another daemon
// uses, and one with entries that are of no use.
func TestStoreAtTheStart(t *testing.T) {
	t.Run("not there", func(t *testing.T) {
		f := newFakeStore(t)
		f.gone = errors.New("gone")
		tr := newStoreTrial(t, f)
		tr.start()
		f.set(func() { f.gone = nil })
		conn := tr.connect()
		tr.echoes(conn)
		f.waitFor(t, 1, 2)
		tr.daemon.Quit()
		tr.waitEnd()
	})
	t.Run("in use", func(t *testing.T) {
		f := newFakeStore(t)
		f.gone = handover.ErrInUse
		tr := newStoreTrial(t, f)
		tr.options = func(o *Options) {
			o.Store = func(context.Context) (handover.Store, error) { return f, nil }
		}
		tr.launch()
		if err := <-tr.ended; !errors.Is(err, handover.ErrInUse) {
			t.Errorf("Run returns %v, want %v", err, handover.ErrInUse)
		}
	})
	t.Run("useless entries", func(t *testing.T) {
		f := newFakeStore(t)
		for _, name := range []string{"connection-1", "listener-1", "something else"} {
			fd, err := sock.Listen(testnet.ClosedPort(t), sock.ListenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			f.entries[name] = handover.Entry{Name: name, Descriptors: []int{fd}}
		}
		tr := newStoreTrial(t, f)
		tr.start()
		f.waitFor(t, 0, 2)
		if n := tr.daemon.keeping.reset.Load(); n != 2 {
			t.Errorf("%d connections are counted as reset, want 2", n)
		}
		tr.daemon.Quit()
		tr.waitEnd()
	})
}

// TestStorePause leaves what another process takes over in the store.
func TestStorePause(t *testing.T) {
	f := newFakeStore(t)
	tr := newStoreTrial(t, f)
	tr.start()
	conn := tr.connect()
	tr.echoes(conn)
	f.waitFor(t, 1, 2)
	k := tr.daemon.keeping
	k.pause()
	k.keepOnly()
	late := tr.connect()
	tr.echoes(late)
	k.tend()
	if c, l := f.has(); c != 1 || l != 2 {
		t.Errorf("in a pause the store has %d connections and %d listening sockets", c, l)
	}
	k.resume()
	f.waitFor(t, 2, 2)
	k.pause()
	tr.daemon.Quit()
	tr.waitEnd()
	f.waitFor(t, 0, 2)
}

// storeRelayed puts a connection to the trial's cluster in the store, as a daemon does
// that relays it, and returns the client's end.
func storeRelayed(t *testing.T, f *fakeStore, tr *trial) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	downstream, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer downstream.Close()
	endpoint := netip.MustParseAddrPort(tr.cfg.Clusters[0].Endpoints[0].Address.String())
	upstream, err := net.Dial("tcp", endpoint.String())
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	now := time.Now()
	c := handover.Connection{
		ID: 7, Listener: "gateway", Chain: "to-app", Cluster: "app", Endpoint: endpoint,
		Peer: downstream.RemoteAddr().(*net.TCPAddr).AddrPort(), Accepted: now, Connected: now, LastByte: now,
		Downstream: descriptorOf(t, downstream), Upstream: descriptorOf(t, upstream),
	}
	entry, err := handover.Enrol(&c)
	if err == nil {
		err = f.Put(entry)
	}
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// descriptorOf is the connection's own, without a duplicate.
func descriptorOf(t *testing.T, conn net.Conn) (fd int) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(own uintptr) { fd = int(own) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// An old process dies while it hands over: what it still had is in the store, and the
// new one takes it from there.
func TestUpgradeOrphanedWithStore(t *testing.T) {
	g, f := newGenerations(t), newFakeStore(t)
	g.store = f
	client := storeRelayed(t, f, &trial{cfg: g.cfg})
	tr, giver := g.before(t)
	own := tr.connect()
	tr.echoes(own)
	if n := tr.daemon.around.Limits.Active(); n != 1 {
		t.Errorf("%d connections while the old process lives, want 1", n)
	}
	giver.Close()
	tr.waitLog("took up the connections of a process that was killed")
	tr.echoes(client)
	tr.echoes(own)
	client.Close()
	own.Close()
	eventually(t, "the store has dropped it", func() bool { connections, _ := f.has(); return connections == 0 })
	tr.daemon.Quit()
	tr.waitEnd()
}
