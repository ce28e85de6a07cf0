package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/sluiceproxy/sluice/bench"
)

// Table writes a report for a terminal, up to about 160 columns wide: a block
// for each scenario, the goals, what was left out, and where it ran. The error
// is w's.
func Table(w io.Writer, r *bench.Report) error {
	var b bytes.Buffer
	for i := range r.Scenarios {
		writeBlock(&b, newBlock(r, &r.Scenarios[i]))
	}
	writeGoals(&b, goalRows(r))
	if len(r.LeftOut) > 0 {
		b.WriteString("Left out\n")
		for _, l := range r.LeftOut {
			fmt.Fprintf(&b, "  %s: %s\n", leftOutWords(l), l.Why)
		}
		b.WriteByte('\n')
	}
	b.WriteString("Before [] stands the median, in [] the least and the most of all rounds; × is a ratio of medians, cs are context switches.\n")
	fmt.Fprintf(&b, "Machine   %s\n", machineWords(r.Machine))
	fmt.Fprintf(&b, "Versions  %s\n", strings.Join(versions(r), ", "))
	fmt.Fprintf(&b, "Taken     %s\n", takenWords(r))
	fmt.Fprintf(&b, "Command   %s\n", r.Command)
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func writeBlock(b *bytes.Buffer, block block) {
	s := block.Scenario
	fmt.Fprintf(b, "%s (%s): %s\n", s.Title, s.Name, modeWords(s.Mode))
	fmt.Fprintf(b, "  %s\n", block.Load)
	lines := [][]string{append([]string{""}, block.Heads...)}
	for _, row := range block.Rows {
		name := row.Subject
		if row.Void != "" {
			name += "*"
		}
		lines = append(lines, append([]string{name}, row.Cells...))
	}
	writeAligned(b, lines, tabwriter.AlignRight)
	for _, row := range block.Rows {
		if row.Void != "" {
			fmt.Fprintf(b, "  * %s does not count: %s\n", row.Subject, row.Void)
		}
	}
	b.WriteByte('\n')
}

func writeGoals(b *bytes.Buffer, rows []goalRow) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "Goals: %s\n", score(rows))
	lines := [][]string{{"scenario", "goal", "sluice", "best peer", "ratio", "result"}}
	for _, row := range rows {
		lines = append(lines, []string{row.Scenario, row.Goal, row.Sluice, row.Best, row.Ratio, row.Result})
	}
	writeAligned(b, lines, 0)
	b.WriteByte('\n')
}

// writeAligned writes lines of cells. tabwriter aligns all columns alike: the
// first is padded beforehand, so that names stay at the left.
func writeAligned(b *bytes.Buffer, lines [][]string, flags uint) {
	longest := 0
	for _, line := range lines {
		longest = max(longest, utf8.RuneCountInString(line[0]))
	}
	var aligned bytes.Buffer
	w := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', flags)
	for _, line := range lines {
		fmt.Fprintf(w, "%-*s", longest, line[0])
		for _, cell := range line[1:] {
			fmt.Fprintf(w, "\t%s", cell)
		}
		// Right-aligned, a last cell counts as one only with a tab behind.
		fmt.Fprint(w, "\t\n")
	}
	w.Flush() // into memory, where no error comes from
	indent := "  "
	if flags&tabwriter.AlignRight != 0 {
		indent = "" // the padding stands before the first cell
	}
	for line := range strings.Lines(aligned.String()) {
		fmt.Fprintf(b, "%s%s\n", indent, strings.TrimRight(line, " \n"))
	}
}

// versions are the subjects with what they say of themselves.
func versions(r *bench.Report) []string {
	var all []string
	for _, s := range r.Subjects {
		if s.Version != "" {
			all = append(all, s.Name+" "+s.Version)
		}
	}
	return all
}
