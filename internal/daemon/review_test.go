package daemon

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// A connection that is handed to another loop while the daemon stops is reset as
// all others are, although that loop has closed its listeners before.
func TestHandOverWhileStopping(t *testing.T) {
	tr := newTrial(t)
	tr.start()
	second := tr.daemon.loops[1]
	second.AddLoad(1000) // it hands everything over to the first one
	gate, waiting := make(chan struct{}), make(chan struct{})
	second.Post(func() { close(waiting); <-gate })
	<-waiting
	tr.daemon.Quit()
	eventually(t, "only the second loop listens", func() bool { return listening(t, tr.cfg.Listeners[0].Address) == 1 })
	conn := tr.connect()
	close(gate)
	tr.waitEnd()
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("the client sees %v, want a reset", err)
	}
}

// listening counts the sockets that listen on an IPv4 address.
func listening(t *testing.T, address netip.AddrPort) int {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	ip := binary.NativeEndian.Uint32(address.Addr().AsSlice()) // as the kernel prints it
	return strings.Count(string(table), fmt.Sprintf(": %08X:%04X 00000000:0000 0A", ip, address.Port()))
}

// A drain may take long, and log files are rotated meanwhile.
func TestReopenWhileDraining(t *testing.T) {
	tr := newTrial(t)
	file := config.DefaultAccessLog()
	file.Path = filepath.Join(t.TempDir(), "access.log")
	tr.cfg.AccessLog = []config.AccessLog{file}
	tr.start()
	conn := tr.connect()
	tr.echoes(conn)
	tr.signals <- syscall.SIGTERM
	tr.waitLog("draining")
	if err := os.Rename(file.Path, file.Path+".1"); err != nil {
		t.Fatal(err)
	}
	tr.signals <- syscall.SIGUSR1
	eventually(t, "the access log is made anew", func() bool {
		_, err := os.Stat(file.Path)
		return err == nil
	})
	conn.Close()
	tr.waitEnd()
}

// Only a host without IPv6 may do without an IPv6 listener: anywhere else the
// address is wrong, and nobody would notice.
func TestWrongIPv6AddressIsAnError(t *testing.T) {
	for _, tc := range []struct {
		name, disabled string
		fails          bool
	}{
		{"with IPv6", "0", true},
		{"without IPv6", "1", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := newTrial(t)
			other := tr.cfg.Listeners[0]
			other.Name, other.Address = "six", netip.MustParseAddrPort("[fd00:4::99]:8080")
			tr.cfg.Listeners = append(tr.cfg.Listeners, other)
			host := testnet.New(t).Host("pod")
			for _, conf := range []string{"all", "default", "lo"} {
				host.Sysctl("net.ipv6.conf."+conf+".disable_ipv6", tc.disabled)
			}
			d, err := New(Options{Loaded: Loaded{Config: tr.cfg}, Log: zap.NewNop(), Level: zap.NewAtomicLevel()})
			if err != nil {
				t.Fatal(err)
			}
			for _, loop := range d.loops {
				go loop.Run()
			}
			defer d.release()
			host.Do(func() { err = d.bind() })
			if (err != nil) != tc.fails || tc.fails && !strings.Contains(err.Error(), "listener six") {
				t.Errorf("%v, want an error: %v", err, tc.fails)
			}
		})
	}
}
