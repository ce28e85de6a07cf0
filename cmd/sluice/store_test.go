package main

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/systemd"
)

// notifier tells a manager that hears nothing.
func notifier(t *testing.T) *systemd.Notifier {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := systemd.New(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		manager.Close()
	})
	return n
}

func TestNewOpener(t *testing.T) {
	activated := systemd.Descriptor{Name: "inbound", FD: 999}
	for _, tc := range []struct {
		name, store string
		notify      *systemd.Notifier
		opens       bool
		err         error
	}{
		{"none", "", nil, false, nil},
		{"systemd", "systemd", notifier(t), true, nil},
		{"systemd that is not there", "systemd", nil, false, errNoManager},
		{"holder", filepath.Join(t.TempDir(), "hold"), nil, true, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			open, rest, err := newOpener(tc.store, tc.notify, []systemd.Descriptor{activated}, zap.NewNop())
			if !errors.Is(err, tc.err) || (open != nil) != tc.opens || len(rest) != 1 || rest[0] != activated {
				t.Fatalf("a store: %t, the rest: %v, %v", open != nil, rest, err)
			}
			if !tc.opens {
				return
			}
			store, err := open(t.Context())
			if _, there := store.(*handover.SystemdStore); there != (tc.store == inSystemd) || there != (err == nil) {
				t.Errorf("opening gives %T, %v", store, err)
			}
		})
	}
}

// Who asks for systemd's store and has no systemd is told what to do.
func TestRunWithoutManager(t *testing.T) {
	code, _, errs := line(t, "run", "--store", "systemd")
	if code != 1 || !strings.Contains(errs, "NOTIFY_SOCKET") || !strings.Contains(errs, "FileDescriptorStoreMax=") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
