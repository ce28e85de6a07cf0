package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/intercept/rules"
)

// exitValidation is Istio's exit status for capture rules that do not work.
const exitValidation = 126

// newIptablesCommand installs, prints and removes the capture rules.
func newIptablesCommand(env *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "iptables",
		Short: "Install, pause, print or remove the rules that capture a pod's connections",
		Long: "Installs, pauses, prints or removes the iptables rules (and for TPROXY the policy routes) that send a pod's\n" +
			"TCP connections through sluice. Flags and chains are those of istio-iptables; docs/capture.md explains\n" +
			"every rule. All but print need root with CAP_NET_ADMIN, iptables and iproute2.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError(cmd, errors.New("what about them? Say apply, pause, resume, clean or print"))
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.SetFlagErrorFunc(usageError)
	cmd.AddCommand(newIptablesApply(env), newIptablesClean(env), newIptablesPause(env), newIptablesResume(env), newIptablesPrint(env), newIptablesProbe(env))
	return cmd
}

func newIptablesApply(env *env) *cobra.Command {
	var flags iptablesFlags
	var dryRun, validate bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make these the capture rules of this network namespace, whatever was applied before",
		Long: "Makes these the capture rules of this network namespace, whatever was applied before. Either all of it\n" +
			"takes effect or nothing. Applying the same again changes nothing.",
		Example: "  sluice iptables apply -d 8081 -x 10.0.0.0/24\n  sluice iptables apply -m TPROXY --run-validation",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, families, err := flags.parse()
			if err != nil {
				return err
			}
			if dryRun {
				return dryRunIptables(cmd.Context(), env, o, families)
			}
			return applyIptables(cmd.Context(), env, capture{o, families, validate})
		},
	}
	flags.register(cmd.Flags())
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "print what would be done, change nothing")
	cmd.Flags().BoolVar(&validate, "run-validation", false,
		"then send connections through the rules; exit 126 when one does not arrive (the capture ports must be free)")
	return cmd
}

// capture is what apply was asked for.
type capture struct {
	options  rules.Options
	families []rules.Family
	validate bool
}

func applyIptables(ctx context.Context, env *env, c capture) error {
	sets, err := rules.BuildAll(c.options, c.families)
	if err != nil {
		return optionError(err)
	}
	if err := toolsOf(env).Apply(ctx, sets); err != nil {
		return &exitError{exitFailure, err}
	}
	if c.validate {
		if err := rules.Validate(ctx, c.options, c.families, probeCommand); err != nil {
			return &exitError{exitValidation, fmt.Errorf("%w\nThe rules are left as they are: "+
				"look at them with iptables-save, remove them with `sluice iptables clean`", err)}
		}
	}
	fmt.Fprintf(env.stdout, "capture rules applied: %s inbound, %v\n", c.options.Mode, c.families)
	return nil
}

func dryRunIptables(ctx context.Context, env *env, o rules.Options, families []rules.Family) error {
	sets, err := rules.BuildAll(o, families)
	if err != nil {
		return optionError(err)
	}
	return printDryRun(ctx, env, sets)
}

func printDryRun(ctx context.Context, env *env, sets []rules.RuleSet) error {
	text, err := toolsOf(env).DryRun(ctx, sets)
	if err != nil {
		return &exitError{exitFailure, err}
	}
	_, err = fmt.Fprint(env.stdout, text)
	return err
}

func newIptablesClean(env *env) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove all that apply made, with whatever flags, and nothing else",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dryRun {
				return printDryRun(cmd.Context(), env, nil)
			}
			if err := toolsOf(env).Clean(cmd.Context()); err != nil {
				return &exitError{exitFailure, err}
			}
			fmt.Fprintln(env.stdout, "capture rules removed")
			return nil
		},
	}
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "print what would be done, change nothing")
	return cmd
}

func newIptablesPause(env *env) *cobra.Command {
	return pauseCommand(env, true, &cobra.Command{
		Use:   "pause",
		Short: "Capture no new connection; those that were captured go on, which they may not after clean",
		Long: "Has the rules capture no new connection, until resume or apply. Those that were captured go on; clean\n" +
			"alone may end them. Before a proxy stops: pause, let it drain, then clean.",
	})
}

func newIptablesResume(env *env) *cobra.Command {
	return pauseCommand(env, false, &cobra.Command{
		Use:   "resume",
		Short: "Take back what pause did",
	})
}

// pauseCommand fills in what pause and resume have in common.
func pauseCommand(env *env, paused bool, cmd *cobra.Command) *cobra.Command {
	var dryRun bool
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		host, err, text := toolsOf(env), error(nil), ""
		switch {
		case dryRun:
			text, err = host.DryRunPause(cmd.Context(), paused)
		case paused:
			text, err = "capture rules paused\n", host.Pause(cmd.Context())
		default:
			text, err = "capture rules resumed\n", host.Resume(cmd.Context())
		}
		if err != nil {
			return &exitError{exitFailure, err}
		}
		_, err = fmt.Fprint(env.stdout, text)
		return err
	}
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "print what would be done, change nothing")
	return cmd
}

func newIptablesPrint(env *env) *cobra.Command {
	var flags iptablesFlags
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the rules as input of iptables-restore; touches and reads nothing",
		Long: "Prints the rules as they would be installed on a host that has none: input for iptables-restore\n" +
			"(then for ip6tables-restore, when IPv6 is on), and every command as a comment.",
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			o, families, err := flags.parse()
			if err != nil {
				return err
			}
			sets, err := rules.BuildAll(o, families)
			if err != nil {
				return optionError(err)
			}
			_, err = fmt.Fprint(env.stdout, rules.Text(sets))
			return err
		},
	}
	flags.register(cmd.Flags())
	return cmd
}

// toolsOf finds iptables and ip in PATH and the usual sbin directories.
func toolsOf(env *env) rules.Host { return rules.NewHost(rules.SearchPath(env.getenv("PATH"))) }

func optionError(err error) error {
	if errors.Is(err, rules.ErrOption) {
		return &exitError{exitUsage, err}
	}
	return &exitError{exitFailure, err}
}
