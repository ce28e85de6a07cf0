package rules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// fakeHost has tools that are the given shell scripts, and nothing else.
func fakeHost(t *testing.T, scripts map[string]string) Host {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return NewHost(dir)
}

// bare is a host without rules, whose tools do as they are told.
func bare() map[string]string {
	return map[string]string{
		"iptables-save": "", "ip6tables-save": "",
		"iptables-restore": "cat >/dev/null", "ip6tables-restore": "cat >/dev/null",
		"ip": "case $* in *show*) echo '[]';; esac",
	}
}

type toolCase struct {
	name   string
	tool   string
	script string // "" removes the tool
	is     error
	want   string
}

func TestApplyWithBadTools(t *testing.T) {
	for _, c := range []toolCase{
		{"no iptables-save", "iptables-save", "", ErrToolMissing, "apt-get install -y iptables"},
		{"no iptables-restore", "iptables-restore", "", ErrToolMissing, "no iptables-restore in"},
		{"no ip6tables-save", "ip6tables-save", "", ErrToolMissing, "no ip6tables-save in"},
		{"no ip", "ip", "", ErrToolMissing, "apt-get install -y iproute2"},
		{"save prints garbage", "iptables-save", "echo Segmentation fault", ErrOutput, "Segmentation fault"},
		{"save ends early", "ip6tables-save", "echo '*nat'", ErrOutput, "before COMMIT"},
		{"ip prints garbage", "ip", "echo hello", ErrOutput, "ip -N -j -4 rule show"},
		{"no permission to read", "iptables-save", "echo 'Permission denied (you must be root)' >&2; exit 4", ErrPermission, "CAP_NET_ADMIN"},
		{"no permission to write", "iptables-restore", "echo 'Permission denied (you must be root)' >&2; exit 4", ErrPermission, "CAP_NET_ADMIN"},
		{"no permission for ip", "ip", "case $* in *show*) echo '[]';; *) echo 'RTNETLINK answers: Operation not permitted' >&2; exit 2;; esac", ErrPermission, "Operation not permitted"},
		{"complaint about a line", "iptables-restore", "echo 'iptables-restore: line 3 failed' >&2; exit 1", nil, `that line is ":ISTIO_OUTPUT - [0:0]"`},
		{"silent failure", "iptables-restore", "exit 1", nil, "it printed nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			scripts := bare()
			scripts[c.tool] = c.script
			if c.script == "" {
				delete(scripts, c.tool)
			}
			h := fakeHost(t, scripts)
			o := Default()
			o.Mode = TProxy
			sets, err := BuildAll(o, []Family{IPv4, IPv6})
			if err != nil {
				t.Fatal(err)
			}
			err = h.Apply(t.Context(), sets)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %v with %q", err, c.is, c.want)
			}
		})
	}
}

// TestUndoThatFails: then the user must know that rules are left.
func TestUndoThatFails(t *testing.T) {
	scripts := bare()
	scripts["iptables-restore"] = "grep -q -- -X && { echo no way back >&2; exit 1; }; exit 0"
	scripts["ip6tables-restore"] = "echo forth fails >&2; exit 1"
	sets, err := BuildAll(Default(), []Family{IPv4, IPv6})
	if err != nil {
		t.Fatal(err)
	}
	err = fakeHost(t, scripts).Apply(t.Context(), sets)
	for _, want := range []string{"no way back", "forth fails", "sluice iptables clean"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("error %v has no %q", err, want)
		}
	}
}

// TestUndoAfterCancel: an apply that is cancelled still undoes what it did.
func TestUndoAfterCancel(t *testing.T) {
	dir := t.TempDir()
	log, started := filepath.Join(dir, "log"), filepath.Join(dir, "started")
	scripts := bare()
	scripts["iptables-restore"] = "cat >>" + log
	scripts["ip6tables-restore"] = "echo >" + started + "; exec sleep 60"
	h := fakeHost(t, scripts)
	sets, err := BuildAll(Default(), []Family{IPv4, IPv6})
	if err != nil {
		t.Fatal(err)
	}
	// The second tool says that it runs by making the file.
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Apply(ctx, sets) }()
	testnet.Eventually(t, time.Minute, func() error {
		_, err := os.Stat(started)
		return err
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	text, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(text), "-X ISTIO_OUTPUT") {
		t.Errorf("%v: not undone:\n%s", err, text)
	}
}

func TestCleanWithoutIPv6Tools(t *testing.T) {
	scripts := bare()
	delete(scripts, "ip6tables-save")
	delete(scripts, "ip")
	if err := fakeHost(t, scripts).Clean(t.Context()); err != nil {
		t.Error(err)
	}
	delete(scripts, "iptables-save")
	if err := fakeHost(t, scripts).Clean(t.Context()); !errors.Is(err, ErrToolMissing) {
		t.Errorf("without iptables: %v", err)
	}
}

func TestDryRunWithoutPermission(t *testing.T) {
	scripts := bare()
	scripts["iptables-save"] = "echo you must be root >&2; exit 4"
	sets, err := BuildAll(Default(), []Family{IPv4})
	if err != nil {
		t.Fatal(err)
	}
	text, err := fakeHost(t, scripts).DryRun(t.Context(), sets)
	if err != nil || !strings.HasPrefix(text, "# The rules that stand may not be read") || !strings.HasSuffix(text, Text(sets)) {
		t.Errorf("%v:\n%s", err, text)
	}
}

func TestMapped(t *testing.T) {
	const rootOnly, ranges = "         0       1000          1\n", "0 1000 1\n1 100000 65536\n"
	for _, c := range []struct {
		text, id string
		want     bool
	}{
		{rootOnly, "0", true}, {rootOnly, "1337", false}, {ranges, "1337", true},
		{ranges, "65536", true}, {ranges, "65537", false}, {"", "0", false}, {"x", "0", false},
	} {
		if got := mapped(c.text, c.id); got != c.want {
			t.Errorf("id %s in %q: %v", c.id, c.text, got)
		}
	}
}
