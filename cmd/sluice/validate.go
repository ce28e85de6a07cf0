package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/config/native"
)

// newValidateCommand makes sluice validate. OK goes to standard output,
// problems go to standard error as with nginx -t and promtool, so that
// `sluice validate -c FILE >/dev/null` still shows them.
func newValidateCommand(env *env) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "validate -c FILE",
		Short: "Check a configuration as run would, binding nothing",
		Long: `Checks a configuration as sluice run would, with the same SLUICE_ environment
variables, but binds nothing.

Prints OK on standard output and exits with 0, or prints every problem on
standard error, one a line, and exits with 1:

    FILE:LINE: path.to.key: what is wrong and what is allowed

What is allowed but hardly meant, such as a filter chain that no connection
reaches, is printed on standard error as a warning; the exit status stays 0.`,
		Example:       "  sluice validate -c /etc/sluice/sluice.yaml",
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(*cobra.Command, []string) error { return validate(env, file) },
	}
	cmd.SetFlagErrorFunc(usageError)
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file (environment: SLUICE_CONFIG)")
	return cmd
}

func validate(env *env, file string) error {
	if file == "" {
		file = env.getenv("SLUICE_CONFIG")
	}
	if file == "" {
		return &exitError{code: exitUsage, err: errors.New("which configuration? Give it with --config FILE, or in SLUICE_CONFIG")}
	}
	loaded, err := native.Load(file, native.Options{Environ: env.environ(), Prepare: env.prepare})
	if err != nil {
		fmt.Fprintln(env.stderr, err)
		return &exitError{code: exitFailure}
	}
	if env.warnings != nil {
		for _, warning := range env.warnings(loaded.Config) {
			fmt.Fprintf(env.stderr, "%s: warning: %s\n", file, warning)
		}
	}
	fmt.Fprintln(env.stdout, "OK")
	return nil
}

// noArguments refuses positional arguments as wrong usage.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(cmd, fmt.Errorf("unexpected argument %q", args[0]))
	}
	return nil
}

// usageError marks what a user called wrongly.
func usageError(cmd *cobra.Command, err error) error {
	return &exitError{code: exitUsage, err: fmt.Errorf("%w (%s --help shows what is allowed)", err, cmd.CommandPath())}
}
