package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	testnet.Main(m)
}

// TestDemo runs the whole demo, which checks itself.
func TestDemo(t *testing.T) {
	testnet.Need(t, "iptables", "ip6tables", "curl")
	binary := filepath.Join(t.TempDir(), "sluice")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/sluice").CombinedOutput(); err != nil {
		t.Fatalf("build sluice: %v\n%s", err, out)
	}
	for _, m := range []mode{redirect, tproxy} {
		t.Run(string(m), func(t *testing.T) {
			var out strings.Builder
			defer func() { t.Log("\n" + out.String()) }()
			show(t, &out, options{intercept: m, sluice: binary})
		})
	}
}

// TestStage shows that a failed demo tidies up and is known to have failed.
func TestStage(t *testing.T) {
	var order []string
	var messages strings.Builder
	s := &stage{messages: &messages}
	s.run(func() {
		s.Cleanup(func() { order = append(order, "first") })
		s.Cleanup(func() {
			order = append(order, "second")
			s.Fatalf("a cleanup that fails")
		})
		s.Fatalf("a play that fails")
		order = append(order, "never")
	})
	if got := strings.Join(order, " "); got != "second first" {
		t.Errorf("the stage ran %q", got)
	}
	if want := "WRONG: a play that fails\nWRONG: a cleanup that fails\n"; !s.Failed() || messages.String() != want {
		t.Errorf("failed is %v, the messages are %q", s.Failed(), messages.String())
	}
}

// TestStageInterrupted shows that a demo stopped by a signal tidies up too.
func TestStageInterrupted(t *testing.T) {
	interrupt := make(chan os.Signal, 1)
	release := make(chan struct{})
	var messages strings.Builder
	s := &stage{messages: &messages, interrupt: interrupt}
	s.run(func() {
		s.Cleanup(func() { close(release) })
		interrupt <- os.Interrupt
		<-release
	})
	if want := "WRONG: stopped by signal: interrupt\n"; messages.String() != want {
		t.Errorf("the messages are %q, want %q", messages.String(), want)
	}
}
