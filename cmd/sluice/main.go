// Command sluice is a transparent layer-4 proxy for Linux: a sidecar that takes
// over an application's TCP connections. docs/architecture.md tells how.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/internal/daemon"
)

func main() {
	env := &env{
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		stdin:    os.Stdin,
		getenv:   os.Getenv,
		environ:  os.Environ,
		prepare:  daemon.Prepare,
		warnings: daemon.Warnings,
	}
	os.Exit(executeArgs(env, os.Args[1:]))
}

// executeArgs runs one command line and returns its exit status.
func executeArgs(env *env, args []string) int {
	root := newRootCommand(env)
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return 0
	}
	code := exitFailure
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		code = exit.code
	case strings.HasPrefix(err.Error(), "unknown command"):
		code = exitUsage // cobra has no sentinel for it
	}
	if message := err.Error(); message != "" {
		fmt.Fprintln(env.stderr, "sluice:", message)
	}
	return code
}

func newRootCommand(env *env) *cobra.Command {
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "A transparent layer-4 proxy: the data plane of a sidecar",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.Help()
			return &exitError{code: exitUsage}
		},
	}
	root.SetFlagErrorFunc(usageError)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	root.SetIn(env.stdin)
	root.AddCommand(
		newRunCommand(env),
		newValidateCommand(env),
		newExplainCommand(env),
		newIptablesCommand(env),
		newSchemaCommand(env),
		newWaitCommand(env),
		newHoldCommand(),
		newVersionCommand(env.stdout),
	)
	return root
}

func newVersionCommand(out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		Run:   func(*cobra.Command, []string) { fmt.Fprintln(out, "sluice", version()) },
	}
}
