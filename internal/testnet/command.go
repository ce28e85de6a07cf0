package testnet

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// runTimeout bounds a program that Run waits for.
const runTimeout = time.Minute

// identity is what programs run as.
type identity struct {
	uid, gid uint32
	caps     []string
}

// As returns the host as another user sees it: programs get this uid and gid,
// no supplementary groups, and no capabilities but caps, which are named as
// setpriv(1) does ("net_admin", "net_raw").
func (h *Host) As(uid, gid uint32, caps ...string) *Host {
	return &Host{tb: h.tb, space: h.space, as: &identity{uid, gid, caps}}
}

// Command prepares a program that will run on the host. It is not started,
// and whoever starts it waits for it before the test ends. Its pid is the
// program's own: what enters the namespace is replaced by it.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	enter := append(h.enter(), name)
	return exec.Command("nsenter", append(enter, args...)...)
}

// enter is the part of nsenter's command line before the program itself.
func (h *Host) enter() []string {
	args := []string{fmt.Sprintf("--net=/proc/%d/ns/net", h.space.holder.pid())}
	if h.as != nil {
		args = append(args, h.as.setpriv()...)
	}
	return args
}

// setpriv is the command line that changes to the identity. Ambient
// capabilities are those that an ordinary program keeps through execve
// (capabilities(7)), and need the inheritable ones.
func (id *identity) setpriv() []string {
	args := []string{"setpriv", fmt.Sprintf("--reuid=%d", id.uid), fmt.Sprintf("--regid=%d", id.gid), "--clear-groups"}
	if len(id.caps) == 0 {
		return append(args, "--inh-caps=-all")
	}
	list := "-all,+" + strings.Join(id.caps, ",+")
	return append(args, "--inh-caps="+list, "--ambient-caps="+list)
}

// Run runs a program on the host to its end and returns its standard output.
// It fails the test when the exit status is not 0.
func (h *Host) Run(name string, args ...string) string {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	plain := h.Command(name, args...)
	cmd := exec.CommandContext(ctx, plain.Path, plain.Args[1:]...)
	cmd.WaitDelay = patience
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("not done after %v: %w", runTimeout, err)
		}
		h.tb.Fatalf("host %s: %s %s: %v\n%s%s", h, name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}
