package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// probeDialTimeout: the connection goes over lo, or nowhere.
const probeDialTimeout = 3 * time.Second

// newIptablesProbe is the client of --run-validation. It is a process because
// the rules tell the proxy from the application by the user of the process.
func newIptablesProbe(env *env) *cobra.Command {
	return &cobra.Command{
		Use:    "probe IP:PORT",
		Short:  "Connect and print what is received (run by apply --run-validation)",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := net.DialTimeout("tcp", args[0], probeDialTimeout)
			if err != nil {
				return &exitError{exitFailure, err}
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(probeDialTimeout)); err != nil {
				return &exitError{exitFailure, err}
			}
			if _, err := io.Copy(env.stdout, conn); err != nil {
				return &exitError{exitFailure, fmt.Errorf("reading the answer of %s: %w", args[0], err)}
			}
			return nil
		},
	}
}

// probeCommand runs this program again as the given user. Whoever already is
// that user needs no right to change.
func probeCommand(ctx context.Context, uid, gid uint32, target netip.AddrPort) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "iptables", "probe", target.String())
	if int(uid) != os.Geteuid() || int(gid) != os.Getegid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}
	return cmd
}
