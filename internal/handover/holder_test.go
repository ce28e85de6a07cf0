package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// childHolder is `sluice hold`.
func childHolder() error {
	h, err := NewHolder(os.Getenv("SLUICE_TEST_SOCKET"), HolderOptions{})
	if err != nil {
		return err
	}
	h.Serve(context.Background())
	return nil
}

// holding runs a Holder in this process, until the test ends.
func holding(t *testing.T, o HolderOptions) (path string, h *Holder) {
	t.Helper()
	path = socketPath(t)
	h, err := NewHolder(path, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { h.Serve(ctx) })
	t.Cleanup(func() {
		cancel()
		serving.Wait()
	})
	return path, h
}

func dialHolder(t *testing.T, path string) *HolderStore {
	t.Helper()
	s, err := DialHolder(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func take(t *testing.T, s Store) []Entry {
	t.Helper()
	entries, err := s.Take()
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// TestHolderProcess has a connection live in a holder of its own process, while this
// one closes it and takes it again.
func TestHolderProcess(t *testing.T) {
	noLeak(t)
	path := socketPath(t)
	cmd := child(t, "holder", "SLUICE_TEST_SOCKET="+path)
	start(t, cmd)
	eventually(t, "the holder", func() bool { _, err := os.Stat(path); return err == nil })
	first := dialHolder(t, path)
	r := newRelayed(t, 1)
	defer r.close()
	entry, err := Enrol(&r.connection)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Put(entry); err != nil {
		t.Fatal(err)
	}
	sock.CloseAll(entry.Descriptors)
	first.Close()

	second := dialHolder(t, path)
	entries := take(t, second)
	if len(entries) != 1 || entries[0].Name != entry.Name || string(entries[0].Record) != string(entry.Record) {
		t.Fatalf("took %d entries, %+v", len(entries), entries)
	}
	c, err := Recover(&entries[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := r.alive(&c); err != nil {
		t.Error(err)
	}
	if name := EntryName(c.Stored); name != entry.Name || c.Stored != r.connection.Stored {
		t.Errorf("it is stored as %s, want %s", name, entry.Name)
	}
	sock.CloseAll(entries[0].Descriptors)
	if err := second.Drop(entry.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the last descriptor was dropped the client reads %v, want its end", err)
	}
	if err := second.Quit(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the holder's socket is left: %v", err)
	}
}

func TestHolderKeeps(t *testing.T) {
	noLeak(t)
	path, _ := holding(t, HolderOptions{MaxEntries: 2})
	s := dialHolder(t, path)
	r := newRelayed(t, 1)
	defer r.closeAll()
	fds := []int{r.connection.Downstream, r.connection.Upstream}
	puts := []struct {
		name    string
		entry   Entry
		problem string
	}{
		{"first", Entry{Name: "a", Record: []byte("1"), Descriptors: fds}, ""},
		{"replaced", Entry{Name: "a", Record: []byte("2"), Descriptors: fds[:1]}, ""},
		{"second", Entry{Name: "b", Descriptors: fds}, ""},
		{"full", Entry{Name: "c", Descriptors: fds}, "full"},
		{"no descriptors", Entry{Name: "d"}, "0 descriptors"},
		{"too many descriptors", Entry{Name: "d", Descriptors: make([]int, 5)}, "5 descriptors"},
		{"name", Entry{Name: "a:b", Descriptors: fds}, "name"},
		{"no name", Entry{Descriptors: fds}, "name"},
		{"record", Entry{Name: "a", Record: make([]byte, maxEntryRecord+1), Descriptors: fds}, "record"},
	}
	for _, put := range puts {
		err := s.Put(put.entry)
		if (err == nil) != (put.problem == "") || err != nil && !strings.Contains(err.Error(), put.problem) {
			t.Errorf("%s: %v, want %q", put.name, err, put.problem)
		}
	}
	check := func(want string) {
		t.Helper()
		var got []string
		for _, e := range take(t, s) {
			got = append(got, fmt.Sprintf("%s %q %d", e.Name, e.Record, len(e.Descriptors)))
			sock.CloseAll(e.Descriptors)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("the holder has %s, want %s", got, want)
		}
	}
	check(`a "2" 1, b "" 2`)
	check(`a "2" 1, b "" 2`)
	for range 2 {
		if err := s.Drop("a"); err != nil {
			t.Error(err)
		}
	}
	check(`b "" 2`)
	if err := r.alive(&r.connection); err != nil {
		t.Error(err)
	}
}

// TestOrphans has the holder give up on daemons that do not come back: what they had
// is reset.
func TestOrphans(t *testing.T) {
	noLeak(t)
	path, _ := holding(t, HolderOptions{Orphaned: time.Millisecond})
	s := dialHolder(t, path)
	r := newRelayed(t, 1)
	defer r.close()
	entry, err := Enrol(&r.connection)
	if err == nil {
		err = s.Put(entry)
	}
	if err != nil {
		t.Fatal(err)
	}
	sock.CloseAll(entry.Descriptors)
	s.Close()
	for _, peer := range []net.Conn{r.client, r.server} {
		if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, sock.ECONNRESET) {
			t.Errorf("reading gives %v, want a reset", err)
		}
	}
}

// TestHolderRefusesGarbage has clients that do not keep to the protocol; the next
// one is served all the same.
func TestHolderRefusesGarbage(t *testing.T) {
	noLeak(t)
	path, _ := holding(t, HolderOptions{})
	for _, garbage := range []string{"GET / HTTP/1.0\r\n\r\n", "\x01\x00\xff\xff\xff\xff", "\x01\x00\x00\x00\x00\x02{}", ""} {
		conn := must(t)(net.Dial("unix", path))
		conn.Write([]byte(garbage))
		conn.(*net.UnixConn).CloseWrite()
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	if entries := take(t, dialHolder(t, path)); len(entries) > 0 {
		t.Errorf("the holder has %v", entries)
	}
	if _, err := Dial(context.Background(), path, quick()); !errors.Is(err, ErrProtocol) {
		t.Errorf("taking over from a holder: %v", err)
	}
}
