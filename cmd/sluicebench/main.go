// Command sluicebench measures what sluice costs, side by side with what one
// would use instead: nginx, HAProxy, Envoy, or no proxy. docs/performance.md
// tells how, and what came out.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// env is everything a command has of its surroundings.
type env struct {
	stdout, stderr io.Writer
	stdin          io.Reader
	self           string // this program
}

// Exit codes of sluicebench.
const (
	exitFailure = 1 // could not measure, or what was measured is void
	exitUsage   = 2 // wrong usage
)

// usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	// A comparison in namespaces needs root, at least in a user namespace.
	if len(os.Args) > 1 && os.Args[1] == "compare" && os.Geteuid() != 0 {
		if err := testnet.Enter(); err != nil {
			fmt.Fprintln(os.Stderr, "sluicebench: only the explicit mode is possible here:", err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sluicebench: finding this program:", err)
		os.Exit(exitFailure)
	}
	// A peer that is gone is told by EPIPE.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, &env{os.Stdout, os.Stderr, os.Stdin, self}, os.Args[1:])
	stop()
	os.Exit(code)
}

// execute runs one command line and returns its exit status.
func execute(ctx context.Context, e *env, args []string) int {
	root := newRootCommand(e)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(e.stderr, "sluicebench:", err)
	var usage usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") { // cobra has no sentinel for it
		return exitUsage
	}
	return exitFailure
}

func newRootCommand(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:           "sluicebench",
		Short:         "Measure sluice beside nginx, HAProxy, Envoy and no proxy",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.Help()
			return usageError{errors.New("what is to be done?")}
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.AddCommand(newCompareCommand(e), newLoadCommand(e), newReportCommand(e), newBackendCommand(e))
	return root
}

// ownThreads sets the Go runtime up for event loops that allocate nothing: a
// collection would only take processor time from what is measured. See
// docs/decisions/0001-event-loops.md for the two threads more.
func ownThreads(loops int) {
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(max(loops, 1) + 2)
}

// arguments takes exactly n of them.
func arguments(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(n)(cmd, args); err != nil {
			return usageError{fmt.Errorf("%s: %w; see %s --help", cmd.CommandPath(), err, cmd.CommandPath())}
		}
		return nil
	}
}
