package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/bench/report"
)

func newReportCommand(e *env) *cobra.Command {
	var html string
	cmd := &cobra.Command{
		Use:     "report FILE",
		Short:   "Show a stored report as a table, or as a page",
		Example: "  sluicebench report bench-report/report.json --html report.html",
		Args:    arguments(1),
	}
	cmd.Flags().StringVar(&html, "html", "", "write the page to `file` too")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		file, err := os.Open(args[0])
		if err != nil {
			return fmt.Errorf("reading a report: %w", err)
		}
		defer file.Close()
		stored, err := report.ReadJSON(file)
		if err != nil {
			return fmt.Errorf("reading the report %s: %w", args[0], err)
		}
		if html != "" {
			if err := writeFile(html, stored, report.HTML); err != nil {
				return err
			}
		}
		return report.Table(e.stdout, stored)
	}
	return cmd
}

// writeFile has a report written to a file.
func writeFile(name string, r *bench.Report, write func(io.Writer, *bench.Report) error) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := write(file, r); err != nil {
		file.Close()
		return fmt.Errorf("writing the report to %s: %w", name, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("writing the report to %s: %w", name, err)
	}
	return nil
}
