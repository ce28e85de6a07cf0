package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/compare"
	"github.com/sluiceproxy/sluice/bench/report"
)

func newCompareCommand(e *env) *cobra.Command {
	flags := &compareFlags{}
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Measure all subjects in turn, round by round, and report",
		Long: `Measures no proxy, sluice, and each of nginx, HAProxy and Envoy that is on this
machine, in turn: A B C, A B C. What cannot be measured is named with the reason.
The report goes to a directory: report.json, report.html and the configurations;
the table also to standard output.`,
		Example: `  sluicebench compare
  sluicebench compare --form full --out full-report
  sluicebench compare --only requests-64,idle-9000 --subjects sluice,haproxy`,
		Args: arguments(0),
	}
	flags.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		options, err := flags.options(e)
		if err != nil {
			return err
		}
		bar := newBar(e.stderr, false)
		options.Progress = bar.set
		result, err := compare.Run(cmd.Context(), options)
		bar.clear()
		if err != nil {
			return err
		}
		if err := flags.write(result); err != nil {
			return err
		}
		if err := report.Table(e.stdout, result); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "\nThe whole report: %s\n", filepath.Join(flags.out, "report.html"))
		return void(result)
	}
	return cmd
}

// compareFlags are the flags of compare.
type compareFlags struct {
	form, sluice, out string
	only, subjects    []string
	rounds, workers   int
	duration          time.Duration
}

func (f *compareFlags) register(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&f.form, "form", string(compare.Short), "how much to measure: short (under 5 minutes), full, smoke (a second each)")
	set.StringSliceVar(&f.only, "only", nil, "`names` of the scenarios to measure")
	set.StringSliceVar(&f.subjects, "subjects", nil, "`names` of the subjects: direct, sluice, nginx, haproxy, envoy; all that are there")
	set.IntVar(&f.rounds, "rounds", 0, "rounds; 0: as the form has it")
	set.DurationVar(&f.duration, "duration", 0, "the measured part of each load; 0: as the form has it")
	set.IntVar(&f.workers, "workers", 2, "event loops, worker processes or threads of each subject")
	set.StringVar(&f.sluice, "sluice", "", "the sluice to measure; else the one beside this program, else the one in PATH")
	set.StringVar(&f.out, "out", "bench-report", "`directory` for the report")
}

// options are what the flags ask for.
func (f *compareFlags) options(e *env) (compare.Options, error) {
	form := compare.Form(f.form)
	if f.only != nil && f.form == string(compare.Short) {
		form = compare.Full // names from all of them
	}
	scenarios, rounds, err := form.Scenarios()
	if err != nil {
		return compare.Options{}, usageError{fmt.Errorf("--form: %w", err)}
	}
	if f.only != nil {
		if scenarios, err = chosen(scenarios, f.only); err != nil {
			return compare.Options{}, usageError{fmt.Errorf("--only: %w", err)}
		}
	}
	for i := range scenarios {
		if f.duration > 0 {
			scenarios[i].Load.Duration = f.duration
			scenarios[i].Load.Warmup = min(scenarios[i].Load.Warmup, f.duration)
		}
		if f.rounds > 0 {
			scenarios[i].Rounds = 0
		}
		if err := scenarios[i].Load.Validate(); err != nil {
			return compare.Options{}, usageError{fmt.Errorf("%s: %w", scenarios[i].Name, err)}
		}
	}
	if f.rounds > 0 {
		rounds = f.rounds
	}
	sluice, err := f.findSluice(e)
	return compare.Options{
		Scenarios: scenarios, Rounds: rounds, Subjects: f.subjects, Workers: f.workers,
		Sluice: sluice, Self: e.self, Command: f.command(),
	}, err
}

// chosen are the scenarios with the given names, and those whose rates theirs
// are a share of.
func chosen(all []bench.Scenario, names []string) ([]bench.Scenario, error) {
	var known []string
	for _, s := range all {
		known = append(known, s.Name)
		if s.Of != "" && slices.Contains(names, s.Name) {
			names = append(names, s.Of)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no scenario %q: want some of %s", name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(all, func(s bench.Scenario) bool { return !slices.Contains(names, s.Name) }), nil
}

func (f *compareFlags) findSluice(e *env) (string, error) {
	if f.sluice != "" {
		return filepath.Abs(f.sluice)
	}
	beside := filepath.Join(filepath.Dir(e.self), "sluice")
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	found, err := exec.LookPath("sluice")
	if err != nil {
		return "", errors.New("no sluice beside this program nor in PATH: build it (make build), or name it by --sluice")
	}
	return found, nil
}

// command is what gives such a report.
func (f *compareFlags) command() string {
	words := []string{"sluicebench compare --form", f.form}
	add := func(flag, value string) {
		if value != "" && value != "0" && value != "0s" {
			words = append(words, flag, value)
		}
	}
	add("--only", strings.Join(f.only, ","))
	add("--subjects", strings.Join(f.subjects, ","))
	add("--rounds", fmt.Sprint(f.rounds))
	add("--duration", f.duration.String())
	add("--workers", fmt.Sprint(f.workers))
	return strings.Join(words, " ")
}

// write leaves the report in its directory.
func (f *compareFlags) write(result *bench.Report) error {
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return fmt.Errorf("making the directory for the report: %w", err)
	}
	for _, subject := range result.Subjects {
		for _, config := range subject.Configs {
			name := filepath.Join(f.out, string(config.Mode)+"-"+config.File)
			if err := os.WriteFile(name, []byte(config.Text), 0o644); err != nil {
				return fmt.Errorf("keeping the configuration of %s: %w", subject.Name, err)
			}
		}
	}
	if err := writeFile(filepath.Join(f.out, "report.json"), result, report.WriteJSON); err != nil {
		return err
	}
	return writeFile(filepath.Join(f.out, "report.html"), result, report.HTML)
}

// void says which rows do not count.
func void(r *bench.Report) error {
	var rows []string
	for _, row := range r.Rows {
		if row.Void != "" {
			rows = append(rows, fmt.Sprintf("%s in %s: %s", row.Subject, row.Scenario, row.Void))
		}
	}
	if rows == nil {
		return nil
	}
	return fmt.Errorf("not all counts:\n  %s", strings.Join(rows, "\n  "))
}
