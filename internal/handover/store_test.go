package handover

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// TestStoredListener has a listening socket with a queue outlive whoever listens.
func TestStoredListener(t *testing.T) {
	noLeak(t)
	path, _ := holding(t, HolderOptions{})
	fd, err := sock.Listen(netip.MustParseAddrPort("127.0.0.1:0"), sock.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	address := sock.LocalAddr(fd)
	entry, err := EnrolListener(&ListenerSocket{Listener: "in", Address: address, Loop: 3, Kind: Traffic, FD: fd})
	if err != nil {
		t.Fatal(err)
	}
	first := dialHolder(t, path)
	if err := first.Put(entry); err != nil {
		t.Fatal(err)
	}
	client := must(t)(net.Dial("tcp", address.String()))
	defer client.Close()
	sock.Close(fd)
	first.Close()

	entries := take(t, dialHolder(t, path))
	if len(entries) != 1 || !entries[0].IsListener() {
		t.Fatalf("took %+v", entries)
	}
	l, err := RecoverListener(&entries[0])
	if err != nil || l != (ListenerSocket{Listener: "in", Address: address, Loop: 3, Kind: Traffic, FD: entries[0].Descriptors[0]}) {
		t.Fatalf("the socket is %+v, %v", l, err)
	}
	defer sock.Close(l.FD)
	accepted, _, errno := sock.Accept(l.FD)
	if errno != 0 {
		t.Fatalf("who has waited in the queue is gone: %v", errno)
	}
	sock.Close(accepted)

	r := newRelayed(t, 1)
	defer r.closeAll()
	for name, bad := range map[string]Entry{
		"no record":    {Name: entries[0].Name, Descriptors: entries[0].Descriptors},
		"two sockets":  {Name: entries[0].Name, Record: entries[0].Record, Descriptors: []int{l.FD, l.FD}},
		"other socket": {Name: entries[0].Name, Record: entries[0].Record, Descriptors: []int{r.connection.Downstream}},
		"no socket":    {Name: entries[0].Name, Record: entries[0].Record, Descriptors: []int{-1}},
	} {
		if _, err := RecoverListener(&bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if errno := sock.Deafen(l.FD); errno != 0 {
		t.Fatal(errno)
	}
	if _, err := RecoverListener(&entries[0]); err == nil {
		t.Error("a deaf socket is used")
	}
	if _, err := EnrolListener(&ListenerSocket{FD: -1}); err == nil {
		t.Error("a descriptor that is not open is enrolled")
	}
}

// TestStoreInUse has two daemons with one holder: only one of them gets what it has.
func TestStoreInUse(t *testing.T) {
	noLeak(t)
	path, h := holding(t, HolderOptions{})
	first, second := dialHolder(t, path), dialHolder(t, path)
	greeted := func() (n int) {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, daemon := range h.clients {
			if daemon {
				n++
			}
		}
		return n
	}
	eventually(t, "both are known", func() bool { return greeted() == 2 })
	if _, err := second.take(); !errors.Is(err, ErrInUse) {
		t.Errorf("the second daemon gets %v, want %v", err, ErrInUse)
	}
	if err := second.Drop("nothing"); err != nil {
		t.Errorf("nor can it use the store: %v", err)
	}
	// It waits for the first one's end.
	taken := make(chan error, 1)
	go func() {
		_, err := second.Take()
		taken <- err
	}()
	first.Close()
	if err := <-taken; err != nil {
		t.Errorf("after the first one has gone: %v", err)
	}
	if err := second.Alive(); err != nil {
		t.Error(err)
	}
	// Who only connects is no daemon.
	stranger, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := second.take(); err != nil {
		t.Errorf("with a stranger connected: %v", err)
	}
}

// TestStoreGone tells a store that is gone from one that refuses.
func TestStoreGone(t *testing.T) {
	noLeak(t)
	path := socketPath(t)
	h, err := NewHolder(path, HolderOptions{MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Serve(ctx)
	}()
	s := dialHolder(t, path)
	r := newRelayed(t, 1)
	defer r.closeAll()
	put := func(name string) error {
		return s.Put(Entry{Name: name, Descriptors: []int{r.connection.Downstream}})
	}
	if err := put("a"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{"a full store": put("b"), "a bad name": put("")} {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want %v", what, err, ErrRefused)
		}
	}
	if err := s.Alive(); err != nil {
		t.Error(err)
	}
	cancel()
	<-done
	for what, err := range map[string]error{"Put": put("a"), "Drop": s.Drop("a"), "Alive": s.Alive()} {
		if err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%s without a store: %v", what, err)
		}
	}
}

// TestRecoveredIsStored has the next process know where its connection is stored.
func TestRecoveredIsStored(t *testing.T) {
	noLeak(t)
	r := newRelayed(t, 7)
	defer r.closeAll()
	r.connection.LastByte = time.Now()
	entry, err := Enrol(&r.connection)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Recover(&entry)
	if err != nil || c.Stored == 0 || EntryName(c.Stored) != entry.Name || EntryCookie(entry.Name) != c.Stored || EntryCookie(ListenerName(7)) != 0 || entry.IsListener() {
		t.Errorf("stored as %d, %v; want the number in %s", c.Stored, err, entry.Name)
	}
	text, err := json.Marshal(&c)
	var moved Connection
	if err != nil || json.Unmarshal(text, &moved) != nil || moved.Stored != c.Stored {
		t.Errorf("in a hand-over it is stored as %d, want %d", moved.Stored, c.Stored)
	}
}
