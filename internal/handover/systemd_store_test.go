package handover

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/internal/systemd"
)

// manager is a fake of systemd's descriptor store. Like systemd's, it gives back
// what it has in another order.
type manager struct {
	conn *net.UnixConn
	kept []systemd.Descriptor
}

func newManager(t *testing.T) (*manager, *systemd.Notifier) {
	t.Helper()
	path := socketPath(t)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{conn: conn}
	n, err := systemd.New(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		n.Close()
		m.remove("")
	})
	return m, n
}

// next does what the next notification asks.
func (m *manager) next(t *testing.T) {
	t.Helper()
	text, control := make([]byte, 4096), make([]byte, sock.RightsSpace(sock.MaxRights))
	n, c, _, _, err := m.conn.ReadMsgUnix(text, control)
	if err != nil {
		t.Fatal(err)
	}
	fds, err := sock.ParseRights(control[:c])
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text[:n]), "\n")
	name := strings.TrimPrefix(lines[1], "FDNAME=")
	if lines[0] == "FDSTOREREMOVE=1" {
		m.remove(name)
	}
	for _, fd := range fds {
		m.kept = append([]systemd.Descriptor{{Name: name, FD: fd}}, m.kept...)
	}
}

// remove closes what has a name, or everything.
func (m *manager) remove(name string) {
	m.kept = slices.DeleteFunc(m.kept, func(d systemd.Descriptor) bool {
		drop := name == "" || d.Name == name
		if drop {
			sock.Close(d.FD)
		}
		return drop
	})
}

// pass is what a process that is started gets.
func (m *manager) pass(t *testing.T) []systemd.Descriptor {
	t.Helper()
	passed := slices.Clone(m.kept)
	for i := range passed {
		fd, errno := sock.Duplicate(passed[i].FD)
		if errno != 0 {
			t.Fatal(errno)
		}
		passed[i].FD = fd
	}
	return passed
}

func TestSystemdStore(t *testing.T) {
	noLeak(t)
	m, n := newManager(t)
	s, _ := NewSystemdStore(n, nil)
	relays := []*relayed{newRelayed(t, 1), newRelayed(t, 2), newRelayed(t, 3)}
	names := make(map[string]uint64)
	for _, r := range relays {
		defer r.close()
		entry, err := Enrol(&r.connection)
		if err == nil {
			err = s.Put(entry)
		}
		if err != nil {
			t.Fatal(err)
		}
		m.next(t) // drops what had the name
		m.next(t)
		names[entry.Name] = r.connection.ID
		sock.CloseAll(entry.Descriptors)
	}

	// The third one loses a socket, as when systemd's limit is reached.
	lost := slices.IndexFunc(m.kept, func(d systemd.Descriptor) bool {
		_, errno := sock.Cookie(d.FD)
		return errno == 0
	})
	sock.Close(m.kept[lost].FD)
	m.kept = slices.Delete(m.kept, lost, lost+1)

	passed := append(m.pass(t), systemd.Descriptor{Name: "inbound", FD: 999})
	next, rest := NewSystemdStore(n, passed)
	if len(rest) != 1 || rest[0].Name != "inbound" {
		t.Errorf("the rest is %v", rest)
	}
	entries := take(t, next)
	if len(entries) != 2 || len(take(t, next)) != 0 {
		t.Fatalf("took %d entries, want 2 once", len(entries))
	}
	for i := range entries {
		c, err := Recover(&entries[i])
		if err != nil || names[entries[i].Name] != c.ID {
			t.Fatalf("%s is connection %d, %v", entries[i].Name, c.ID, err)
		}
		if err := relays[c.ID-1].alive(&c); err != nil {
			t.Errorf("connection %d: %v", c.ID, err)
		}
		sock.CloseAll(entries[i].Descriptors)
		if err := next.Drop(entries[i].Name); err != nil {
			t.Error(err)
		}
	}
	for range 3 { // the one that was not whole was dropped by Take
		m.next(t)
	}
	if len(m.kept) > 0 {
		t.Errorf("%d descriptors are still kept", len(m.kept))
	}
	if _, err := relays[2].client.Read(make([]byte, 1)); err == nil {
		t.Error("the connection that was not whole lives on")
	}
}
